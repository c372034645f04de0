"""Api: what policies call a request, and what their conditions may ask of it; a request asked of a policy."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ..clock import Clock
from ..errors import BadRequest
from ..paths import ambiguity
from .document import Facts, PolicyDocument, Verdict
from .pattern import BadPolicy

if TYPE_CHECKING:
    from ..exchange import Exchange

__all__ = ["LOCAL", "Api"]

LOCAL = "arn:aws:execute-api:local:000000000000:gatekeep"
"""The ARN of an API that says none of its own."""

_ACTION = "execute-api:Invoke"
_ARN = re.compile(r"arn:[\w-]+:execute-api:[\w-]*:(?P<account>\d*):(?P<id>[\w.-]+)").fullmatch


class Api:
    """An API's own ARN. Raises ValueError for what is none."""

    __slots__ = ("account", "arn", "id")

    def __init__(self, arn: object) -> None:
        found = _ARN(arn) if isinstance(arn, str) else None
        if found is None:
            raise BadPolicy(f"{arn!r} is not arn:aws:execute-api:<region>:<account>:<api>")
        self.arn = found[0]
        self.account, self.id = found["account"], found["id"]

    def method_arn(self, exchange: Exchange) -> str:
        """`{arn}/{stage}/{METHOD}/{path}`, the path decoded, as the app gets it; `$connect` for a WebSocket handshake."""
        request = exchange.request
        stage = exchange.stage or "$default"
        if request.handshake:
            return f"{self.arn}/{stage}/$connect"
        return f"{self.arn}/{stage}/{request.method.upper()}{request.path or '/'}"

    def other_names(self, exchange: Exchange) -> Sequence[str]:
        """What else an app may serve the request as.

        HEAD by what serves GET, a path without the slashes at its end, or with one at its start for many (werkzeug).
        """
        request = exchange.request
        if request.handshake:
            return ()
        method, path = request.method.upper(), request.path
        methods = ("HEAD", "GET") if method == "HEAD" else (method,)
        rooted = "/" + path.lstrip("/")
        paths = dict.fromkeys((path or "/", rooted, rooted.rstrip("/") or "/"))
        prefix = f"{self.arn}/{exchange.stage or '$default'}/"
        return [prefix + one + other for one in methods for other in paths][1:]

    def ask(
        self,
        policy: PolicyDocument,
        exchange: Exchange,
        clock: Clock,
        *,
        principals: Collection[str] = (),
        known: Facts | None = None,
    ) -> Verdict:
        """What a policy says of a request; `principals` and `known` are the caller's names and facts, once there is one.

        Raises BadRequest where the app may read the path in another way.
        """
        # A framework's way is the one that the gateway's table goes by.
        if exchange.guard is None and ambiguity(exchange.request) is not None:
            raise BadRequest("The path can be read in more than one way.", code="ambiguous_path")
        asked = {} if policy.plain else {**facts(exchange, clock), **(known or {})}
        return policy.evaluate(
            _ACTION, self.method_arn(exchange), asked, principals=principals, also=partial(self.other_names, exchange)
        )


def facts(exchange: Exchange, clock: Clock) -> Facts:
    """What conditions of a policy may ask of a request."""
    request = exchange.request
    now = clock.wall()
    known = {
        "aws:currenttime": datetime.fromtimestamp(now, UTC).isoformat(),
        "aws:epochtime": str(now),
        "aws:securetransport": "true" if request.scheme in ("https", "wss") else "false",
        "aws:sourceip": exchange.client,
        "aws:useragent": request.header("user-agent"),
        "aws:referer": request.header("referer"),
    }
    return {key: value for key, value in known.items() if value is not None}
