"""The tour: requests that show each component, as lines for a shell, and what each answer has in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["STOPS", "Stop", "text"]

_JSON = '-H "Content-Type: application/json"'


class Stop(NamedTuple):
    """One line to type. `expect` are pieces of what it prints; a status comes first."""

    shows: str
    command: str
    expect: tuple[str, ...]


STOPS = (
    Stop("Authorizer: nobody without a token", 'curl -si "$URL/live/orders/7"', ("401", "WWW-Authenticate", "token_missing")),
    Stop("an expired one", 'curl -si "$URL/live/orders/7" -H "$EXPIRED"', ("401", "token_expired")),
    Stop("one without the scope orders:read", 'curl -si "$URL/live/orders/7" -H "$NO_SCOPE"', ("403", "insufficient_scope")),
    Stop(
        "Transformer: a header from the stage, and the view's answer in an envelope",
        'curl -si "$URL/live/orders/7" -H "$TOKEN"',
        ("200", "X-Warehouse: north", '"read_by":"alice"', "Cache-Status: gatekeep; fwd=miss"),
    ),
    Stop("Cache: the same again, from memory", 'curl -si "$URL/live/orders/7" -H "$TOKEN"', ("200", "Age: ", "gatekeep; hit")),
    Stop(
        "Throttler: three at once, then one in ten seconds",
        'for i in 1 2 3 4 5; do curl -si "$URL/live/orders" -H "$TOKEN"; echo; done',
        ("200", "RateLimit: ", "429", "Retry-After: "),
    ),
    Stop(
        "Validator: every violation, with its JSON pointer",
        f'curl -si "$URL/live/orders" -H "$TOKEN" {_JSON} -d \'{{"item": "", "quantity": 0}}\'',
        ("400", '"/item"', '"/quantity"'),
    ),
    Stop(
        "a content type that the route does not take",
        'curl -si "$URL/live/orders" -H "$TOKEN" -H "Content-Type: text/plain" -d tea',
        ("415", "unsupported_media_type"),
    ),
    Stop(
        "a good order",
        f'curl -si "$URL/live/orders" -H "$TOKEN" {_JSON} -d \'{{"item": "tea", "quantity": 2}}\'',
        ("201", "alice"),
    ),
    Stop(
        "Stages: the same app under another base path, with other variables and a limit of its own",
        'curl -si "$URL/trial/orders/7" -H "$TOKEN"',
        ("200", "X-Warehouse: toy", "RateLimit-Policy: ", "q=5"),
    ),
    Stop("a path that no stage takes", 'curl -si "$URL/orders/7" -H "$TOKEN"', ("404", "not_found")),
    Stop(
        "CORS: a preflight needs no token",
        'curl -si -X OPTIONS "$URL/live/orders" -H "Origin: https://shop.example.com" -H "Access-Control-Request-Method: POST"',
        ("204", "Access-Control-Allow-Origin: https://shop.example.com"),
    ),
    Stop(
        "Metrics: this trace goes on in the span that the server prints, beside the line of the access log",
        'curl -si "$URL/live/health" -H "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"',
        ("200", "X-Request-Id: "),
    ),
)


def text(variables: Mapping[str, str]) -> str:
    """What to copy into a second terminal."""
    lines = ["# Copy these into a second terminal, then any of the lines below.", ""]
    lines += [f"{name}='{value}'" for name, value in variables.items()]
    for stop in STOPS:
        lines += ["", f"# {stop.shows}  →  {' · '.join(stop.expect)}", stop.command]
    return "\n".join(lines)
