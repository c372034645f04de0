"""The cases: which specs are on, which request is sent, and what the answer must be for the case to count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gatekeep import JWT, Authorize, Cache, Cors, IPRules, Observe, Throttle, Transform, Validate, remove_header, set_header

from .tokens import AUDIENCE, ISSUER, jwks, token

ORDER_SCHEMA = {
    "type": "object",
    "required": ["customer", "items"],
    "properties": {
        "customer": {"type": "string", "maxLength": 100},
        "items": {
            "type": "array",
            "maxItems": 50,
            "items": {
                "type": "object",
                "required": ["sku", "quantity"],
                "properties": {
                    "sku": {"type": "string", "maxLength": 40},
                    "quantity": {"type": "integer", "minimum": 1},
                    "note": {"type": "string"},
                },
            },
        },
    },
}


def order_body() -> bytes:
    """About 1 KB."""
    import json

    items = [{"sku": f"sku-{n:04}", "quantity": n + 1, "note": "as agreed by telephone, to be sent"} for n in range(11)]
    return json.dumps({"customer": "alice", "items": items}).encode()


def authorize() -> Authorize:
    return Authorize(JWT(issuer=ISSUER, audience=AUDIENCE, keys=jwks()), scopes={"orders:read"})


def throttle() -> Throttle:
    return Throttle("1000000/second", burst=1_000_000)


def transform() -> Transform:
    return Transform(
        request=[set_header("x-gateway", "gatekeep")], response=[remove_header("server"), set_header("x-served", "1")]
    )


STALE = 1e-6
"""Seconds: what is stored is stale when it is asked for again, so that each request is a miss and stores anew."""


def everything(ttl: float = 30) -> list[Any]:
    """All seven components; the stage router is the harness's part."""
    return [
        authorize(),
        throttle(),
        Validate(query={"page": {"type": "integer", "minimum": 1}}),
        Cache(ttl=ttl),
        transform(),
        Observe(),
    ]


def everything_posted() -> list[Any]:
    """The same for a body instead of a query; no cache keeps the answer to a POST."""
    return [authorize(), throttle(), Validate(body=ORDER_SCHEMA), Cache(ttl=30), transform(), Observe()]


@dataclass(frozen=True)
class Case:
    """`headers` is called for each request, outside of the timed part; `status` and `runs_view` are checked before timing."""

    name: str
    specs: Callable[[], Sequence[Any]]
    status: int = 200
    runs_view: bool = True
    method: str = "GET"
    path: str = "/orders/42"
    body: bytes = b""
    headers: Callable[[], list[tuple[str, str]]] = list
    fresh: bool = False
    """Each request has headers of its own."""
    vary_path: bool = False
    """Requests go round a thousand orders."""
    staged: bool = False
    """Behind the stage router."""
    sdk: bool = False
    """Also measured with OpenTelemetry's SDK, in a process of its own."""
    over: dict[str, float] | None = None
    """The budget of the design over the bare app, in microseconds, by app."""
    total: float | None = None
    """The budget in all."""

    @cached_property
    def asked(self) -> str:
        """The request in words: the same for cases whose requests cost an app alone the same."""
        names = [name for name, _ in self.headers()]
        target = self.path.replace("42", "{1000 to 1999}") if self.vary_path else self.path
        return f"{self.method} {target}" + (f" with {', '.join(names)}" if names else "")


PLAIN = Case("bare", list)
"""What an app alone is asked for, where no case says more."""


_known = token()
KNOWN = [("authorization", f"Bearer {_known}")]
PAGE = "?page=2"

CASES: tuple[Case, ...] = (
    Case("nothing on", list, over={"ASGI": 1.5, "FastAPI": 1.5, "WSGI": 1.5, "Flask": 1.5}),
    Case("Cors", lambda: [Cors(allow_origins=["https://app.example.com"])]),
    Case("IPRules", lambda: [IPRules(deny=["10.0.0.0/8"])]),
    Case("Throttle", lambda: [throttle()]),
    Case("Authorize, token seen before", lambda: [authorize()], headers=lambda: KNOWN),
    Case(
        "Authorize, first-seen RS256", lambda: [authorize()], headers=lambda: [("authorization", f"Bearer {token()}")], fresh=True
    ),
    Case("Validate query", lambda: [Validate(query={"page": {"type": "integer", "minimum": 1}})], path="/orders/42" + PAGE),
    Case(
        "Validate 1 KB body",
        lambda: [Validate(body=ORDER_SCHEMA)],
        method="POST",
        path="/orders",
        body=order_body(),
        headers=lambda: [("content-type", "application/json")],
    ),
    Case("Transform headers", lambda: [transform()]),
    Case("Cache, miss and store", lambda: [Cache(ttl=STALE)], vary_path=True),
    Case("Observe", lambda: [Observe()], sdk=True),
    Case("Stage", lambda: [IPRules(deny=["10.0.0.0/8"])], staged=True),
    Case(
        "everything, token seen before",
        lambda: everything(STALE),
        staged=True,
        sdk=True,
        path="/orders/42" + PAGE,
        headers=lambda: KNOWN,
        vary_path=True,
        over={"ASGI": 12, "FastAPI": 27, "WSGI": 12, "Flask": 24},
    ),
    Case(
        "everything, first-seen token",
        lambda: everything(STALE),
        staged=True,
        path="/orders/42" + PAGE,
        headers=lambda: [("authorization", f"Bearer {token()}")],
        fresh=True,
        vary_path=True,
    ),
    Case(
        "everything, POST of 1 KB validated",
        everything_posted,
        staged=True,
        method="POST",
        path="/orders",
        body=order_body(),
        headers=lambda: [*KNOWN, ("content-type", "application/json")],
    ),
    Case(
        "everything, cache hit",
        everything,
        staged=True,
        path="/orders/42" + PAGE,
        headers=lambda: KNOWN,
        runs_view=False,
        total=10,
    ),
    Case(
        "everything, throttled",
        lambda: [*everything(), Throttle("1/day", burst=1, by="ip", name="daily")],
        staged=True,
        path="/orders/42" + PAGE,
        headers=lambda: KNOWN,
        status=429,
        runs_view=False,
        total=6,
    ),
    Case("everything, no token", everything, staged=True, path="/orders/42" + PAGE, status=401, runs_view=False, total=6),
    Case(
        "everything, forged token",
        everything,
        staged=True,
        path="/orders/42" + PAGE,
        headers=lambda: [("authorization", f"Bearer {token(forged=True)}")],
        fresh=True,
        status=401,
        runs_view=False,
        total=32,
    ),
)
