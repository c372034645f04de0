"""The guide says what is so: its examples run, its links lead somewhere, and every public name is explained in it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import gatekeep
from gatekeep.errors import Denied

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_SPAN = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

# Runs in a process of its own: the blocks of one page in order, in one namespace, with the page's own line numbers in
# tracebacks, and with no way to any other machine.
_RUNNER = """
import socket, sys, types

def here_only(original):
    def call(*args, **kwargs):
        host = args[1][0] if original is connect and isinstance(args[1], tuple) else args[0] if original is resolve else None
        if host not in (None, "", "localhost", "127.0.0.1", "::1"):
            raise OSError(f"an example tried to reach {host}")
        return original(*args, **kwargs)
    return call

connect, resolve = socket.socket.connect, socket.getaddrinfo
socket.socket.connect, socket.getaddrinfo = here_only(connect), here_only(resolve)

page = sys.modules["page"] = types.ModuleType("page")
for block in sys.stdin.read().split("\\0"):
    exec(compile(block, sys.argv[1], "exec"), vars(page))
"""


class Block(NamedTuple):
    language: str
    line: int
    code: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for fence in _FENCE.finditer(text):
        yield Block(fence[1], text.count("\n", 0, fence.start(2)), fence[2])


def named(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


@pytest.mark.parametrize("page", named([page for page in PAGES if any(block.language == "python" for block in blocks(page))]))
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    code = "\0".join("\n" * block.line + block.code for block in blocks(page) if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUNNER, str(page)],
        input=code,
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=300,
    )
    assert done.returncode == 0, f"{page}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", named(PAGES))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text("utf-8"))
    for found in _LINK.finditer(text):
        target = found[1] or found[2]
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        leads_to = (page.parent / file).resolve() if file else page
        assert leads_to.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(leads_to), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: lower case, without punctuation, spaces as hyphens."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)}


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "index.md":
            assert f"]({page.relative_to(ROOT / 'docs')}" in index, f"docs/index.md does not link to {page.name}"


@pytest.fixture(scope="module")
def code_of_the_guide() -> str:
    """Every code block of docs/, and every word in backticks."""
    texts = [page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md")]
    return "\n".join(
        code for text in texts for code in (*(fence[1] for fence in _FENCE.findall(text)), *_SPAN.findall(_FENCE.sub("", text)))
    )


@pytest.mark.parametrize("name", gatekeep.__all__)
def test_every_public_name_is_in_the_guide(name: str, code_of_the_guide: str) -> None:
    assert re.search(rf"\b{name}\b", code_of_the_guide), f"no page of docs/ shows {name}"


def test_every_option_of_the_gateway_is_explained() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text("utf-8")
    options = [*inspect.signature(gatekeep.Gateway).parameters, *inspect.signature(gatekeep.Route).parameters]
    for option in options:
        assert option == "specs" or f"`{option}`" in page, f"docs/gateway.md does not explain {option}"


def test_every_code_is_explained(code_of_the_guide: str) -> None:
    """Clients program against codes, so each that the source can answer with is on some page."""
    codes = {kind.code for kind in Denied.__subclasses__()} - {
        "bad_request",
        "unauthorized",
        "conflict",
    }  # always made with another
    for file in (ROOT / "src" / "gatekeep").rglob("*.py"):
        codes |= set(re.findall(r"\bcode=\"([a-z_]+)\"", file.read_text("utf-8")))
    for code in codes:
        assert re.search(rf"\b{code}\b", code_of_the_guide), f"no page of docs/ says what {code} means"


def test_every_logger_is_listed() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text("utf-8")
    for file in (ROOT / "src" / "gatekeep").rglob("*.py"):
        for logger in re.findall(r"getLogger\(\"([a-z.]+)\"\)", file.read_text("utf-8")):
            assert f"`{logger}`" in page, f"docs/gateway.md does not list the logger {logger}"


def test_the_components_of_the_readme_are_real() -> None:
    cells = re.findall(r"^\| \[[^|]*\| ([^|]+) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert len(cells) == 11
    for example in re.findall(r"`([^`]+)`", ", ".join(cells)):
        spec = eval(example, {name: getattr(gatekeep, name) for name in gatekeep.__all__})
        assert isinstance(spec, (gatekeep.Spec, gatekeep.Stage))
