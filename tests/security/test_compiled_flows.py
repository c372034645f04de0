"""What would open a door if a flow ended without a word: a StopIteration of somebody's, an empty answer, no answer at all."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gatekeep import ApiKey, Authorize, Compress, CustomAuthorizer, Principal, either
from gatekeep.sources import header
from probes import probe

ROOT = Path(__file__).parent.parent.parent
COMPILED = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"][
    "mypyc"
]["include"]
PLAIN_GENERATORS = {"_closing", "_each", "_targets", "__iter__", "close", "start"}
"""Generators that decide nothing: of life cycles, and iterators."""


def guards_its_flows(path: str) -> list[str]:
    """The generators of a file that a StopIteration could end."""
    bare = []
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and _yields(node) and node.name not in PLAIN_GENERATORS:
            body = [part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
            whole = len(body) == 1 and isinstance(body[0], ast.With) and ast.unparse(body[0].items[0]) == "pep_479"
            if not whole:
                bare.append(node.name)
    return bare


def _yields(node: ast.AST) -> bool:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, (ast.Yield, ast.YieldFrom)) or _yields(child):
            return True
    return False


@pytest.mark.parametrize("path", COMPILED)
def test_no_flow_of_a_compiled_module_ends_by_a_stopiteration(path: str) -> None:
    assert guards_its_flows(path) == []


@pytest.mark.parametrize("path", COMPILED)
def test_who_is_reset_after_a_fork_keeps_its_tie(path: str) -> None:
    """A compiled object can't be referred to weakly: it is reset as long as it keeps what stands for it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            assert getattr(node.value.func, "id", "") != "reset_after_fork"


def runs_out(*_: object) -> Any:
    return next(iter(()))


def known(_: object) -> Principal:
    return Principal("mine", id="ann", claims={"role": "x"})


async def known_later(_: object) -> Principal:
    return known(_)


@pytest.mark.parametrize("asks", [{"when": runs_out}, {"claims": {"role": runs_out}}])
def test_a_predicate_that_runs_out_admits_nobody(site: Any, asks: dict[str, Any]) -> None:
    """`next()` of what is empty is a mistake of the app's, behind an authorizer that waits."""
    authenticator = CustomAuthorizer(either(sync=known, asynchronous=known_later), identity=[header("x-id")])
    client = site(Authorize(authenticator, **asks))
    assert client.get("/", headers={"x-id": "x"}).status in (403, 500)


@pytest.mark.parametrize("given", [[], {}, "", (), set(), range(0), iter([]), 0, False, True, [1], "x", object()])
def test_a_hook_that_gives_neither_an_answer_nor_none_lets_nothing_pass(site: Any, protocol: str, given: Any) -> None:
    giving = probe("giving", request=lambda exchange: given)
    assert site(giving.spec, order=[giving.component]).get("/").status == 500


@pytest.mark.parametrize("replacement", [lambda denied, response: response.headers.set("x-a", "b"), lambda denied, response: 7])
def test_a_gateway_response_that_is_none_refuses_all_the_same(site: Any, replacement: Any, caplog: Any) -> None:
    client = site(Authorize(ApiKey({"s3cret-s3cret-s3cret": "ann"})), gateway_responses={"4xx": replacement})
    answer = client.get("/")
    assert answer.status == 401
    assert "no Response" in caplog.text


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_apps_send_for_bytes_passes_the_filters(site: Any, protocol: str, kind: Any) -> None:
    """Servers take them, and so do the filters of the answer, on both builds."""

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [kind(b"one "), kind(b"two")]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [[b"content-type", b"text/plain"]]})
        await send({"type": "http.response.body", "body": kind(b"one "), "more_body": True})
        await send({"type": "http.response.body", "body": kind(b"two")})

    client = site(Compress(), app=wsgi if protocol == "wsgi" else asgi)
    answer = client.get("/", headers=[("accept-encoding", "identity"), ("x-twice", "a"), ("x-twice", "b")])
    assert (answer.status, answer.body) == (200, b"one two")
