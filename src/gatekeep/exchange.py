"""Exchange: one request's way through the gateway and what is known so far. Principal: who asks. current(): the running one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol

from .errors import Denied
from .message import Forwarded, Request, Response
from .principal import NOTHING, Principal
from .request_ids import RequestIds

if TYPE_CHECKING:
    from .effects import Flow, Io
    from .frame import Frame
    from .passage import Passage
    from .pipeline import Pipeline
    from .routing import Endpoint, Params
    from .site import Site

__all__ = ["ANONYMOUS", "NEGOTIATED", "VALID", "Exchange", "Principal", "current", "principal"]

_log = logging.getLogger("gatekeep")

ANONYMOUS: Final = Principal("anonymous")

_ids: Final = RequestIds()
_NO_TAGS: Final[frozenset[str]] = frozenset()

VALID: Final = "valid"
"""The key in `Exchange.state` of what the validator has judged."""

NEGOTIATED = "negotiated"
"""The key in `Exchange.state` of request fields that the app sees otherwise, yet as follows from what the client sent there."""

ZERO_COPY: Final = ("http.response.pathsend", "http.response.zerocopysend")
"""ASGI extensions by which an app sends bytes that nobody in between sees."""


class Watch(Protocol):
    """Who wants to know of what a request waits for."""

    def waiting(self, exchange: Exchange, name: str, flow: Flow[Any]) -> Flow[Any]:
        """Drive the flow of a component's request hook, and give what it gives."""


class Exchange:
    """One request on its way: filled in by the driver and the components, read by views through `current()`."""

    watch: Watch

    __slots__ = (
        "_client",
        "_params",
        "_request_id",
        "_tags",
        "_undo",
        "admitted",
        "admitted_path",
        "decisions",
        "endpoint",
        "error",
        "forwarded",
        "monotonic",
        "native",
        "onward",
        "original",
        "outcome",
        "outer",
        "pipeline",
        "principal",
        "reached",
        "request",
        "response",
        "site",
        "state",
        "watch",
    )

    def __init__(
        self, request: Request, site: Site, pipeline: Pipeline, endpoint: Endpoint | None, params: Params, monotonic: float
    ) -> None:
        self.request = request
        self.original = request
        """As it came; `request` differs from it once a path was rewritten."""
        self.site = site
        self.pipeline = pipeline
        self.endpoint = endpoint
        self._params = params
        self.monotonic = monotonic
        """The reading of the monotonic clock, in seconds, when the request came: the one that limits and durations use.

        On a route with nothing on, when the exchange was first asked for."""
        self.principal = ANONYMOUS
        self.response: Response | None = None
        """The answer's head, from the moment there is one."""
        self.forwarded: Forwarded | None = None
        self.onward: Request | None = None
        """The request as the app will see it, where its body differs."""
        self.native: Any = None
        """The scope or environ that the app is called with; None before that is known."""
        self.admitted: object = None
        """The key of the one endpoint that the pipeline let this request through to; the guard compares it."""
        self.admitted_path: str | None = None
        """The path that it was let through with, as scope or environ has it, where the policy depends on the path."""
        self.error: BaseException | None = None
        """What the app raised, or the Denied that was answered."""
        self.outcome = "completed"
        """"completed", "failed" (an exception ended it) or "disconnected"; final in on_finish."""
        self.state: dict[Any, Any] = {}
        """A component's own notes for later phases, under the component itself."""
        self.decisions: list[tuple[str, str]] = []
        """(component, outcome) in order, e.g. ("response_cache", "hit"), ("authorizer", "report:forbidden")."""
        self.reached = 0
        """How deep in its pipeline the request came."""
        self.outer: Frame | None = None
        """The other half of a request whose path was rewritten."""
        # `watch` is unset where nobody watches: its waiting(exchange, name, flow) stands around each request hook that waits.
        self._undo: list[Callable[[], None]] | None = None
        self._client: str | None = None
        self._request_id: str | None = None
        self._tags = _NO_TAGS

    # Who and where.

    @property
    def route(self) -> str | None:
        """The template of the route, with the mounts it stands under; None when no route matched."""
        return self.endpoint.template if self.endpoint is not None else None

    @property
    def stage(self) -> str | None:
        """The stage's name; None without stages."""
        return self.site.stage

    @property
    def variables(self) -> Mapping[str, str]:
        """The stage's variables."""
        return self.site.variables

    @property
    def valid(self) -> Mapping[str, Any]:
        """What the validator has judged, by part of the request ("path", "query", "headers", "cookies", "body"), coerced."""
        valid: Mapping[str, Any] = self.state.get(VALID, NOTHING)
        return valid

    @property
    def guard(self) -> object:
        """The guard of the app that this request is for; None for an opaque app."""
        return self.site.guard

    @property
    def protocol(self) -> str:
        return self.request.protocol

    @property
    def path_params(self) -> Mapping[str, Any]:
        """The path's parameters, as text or as the framework's converters made them."""
        params = self._params
        if params is None:
            return {}
        if callable(params):
            params = self._params = params()
        return params

    @property
    def client(self) -> str | None:
        """The client's address, through trusted proxies where configured; None when there is none (a Unix socket)."""
        if self._client is None:
            self._client = self.site.client_address(self.request)
        return self._client

    @property
    def request_id(self) -> str:
        """128 random bits in hex, or a trusted proxy's own `X-Request-Id`."""
        if self._request_id is None:
            inbound = self.site.inbound_request_id
            sent = inbound(self.request) if inbound is not None else None
            self._request_id = sent or _ids.take()
        return self._request_id

    # What a hook does.

    def forward(self) -> Forwarded:
        """The request as the app shall see it, to be changed in place; made on first use."""
        if self.forwarded is None:
            self.forwarded = Forwarded(self.request)
        return self.forwarded

    def read_body(self) -> Io[bytes]:
        """Read the request's body, bounded by the gateway's `max_body`; the app reads it again, untouched."""
        return self.request.read(self.site.max_body)

    def on_leave(self, action: Callable[[], None]) -> None:
        """Call this in the frame that ran the request phase, once the app has returned (WSGI: once its body is closed).

        For context variables that a component has set: on_finish may run in a task or context of the app's own.
        """
        self._undo = [*(self._undo or ()), action]

    def leave(self) -> None:
        """Put back what components have set around the app's call, last first; the driver's last act. Never raises."""
        # Scope and exchange know each other: unhooked here, they are freed at once, and not by the garbage collector.
        if self.native is not None:
            native: dict[str, Any] = self.native
            native.pop("gatekeep", None)
            self.native = None
        if self._undo is not None:
            for action in reversed(self._undo):
                try:
                    action()
                except Exception:
                    _log.exception("on_leave failed")

    def tag(self, *names: str) -> None:
        """Name what this answer is made of ("order:42"), so that a cached copy can be purged by it. From the view, any time

        before its last byte; without a cache it means nothing.
        """
        for name in names:
            if not isinstance(name, str) or not name:
                raise TypeError(f"tag(): {name!r} is not a name")
        self._tags = self.tags | frozenset(names)

    @property
    def tags(self) -> frozenset[str]:
        """What tag() was told so far."""
        return self._tags

    def note(self, component: str, outcome: str) -> None:
        """Record a decision for logs, metrics and traces; `outcome` comes from a small fixed set."""
        self.decisions.append((component, outcome))

    def charge(self, amount: float, limit: str | None = None) -> None:
        """Count so much more against the limits that this request met, or the one of that name, once its answer has ended.

        Without a name: against those with cost=0, which count what is charged; where there are none, against all. A name that
        none of them has changes nothing: the caller's usage plan may lack it. Raises ValueError for what is no amount.
        """
        if not 0 <= amount < inf:
            raise ValueError(f"{amount!r} is no amount to count")
        self._account(amount, limit)

    def refund(self, amount: float, limit: str | None = None) -> None:
        """Give back what the request took or was charged, as charge(); in the end no more than that."""
        if not 0 <= amount < inf:
            raise ValueError(f"{amount!r} is no amount to give back")
        self._account(-amount, limit)

    def _account(self, amount: float, limit: str | None) -> None:
        for state in (self.state, self.outer.state) if self.outer is not None else (self.state,):
            for owner in list(state):
                charge = getattr(owner, "charge", None)
                if charge is not None:
                    charge(self, state, amount, limit)

    @property
    def filters(self) -> bool:
        """Whether the bytes of the answer may have to pass through components."""
        return self.pipeline.filters or (self.outer is not None and self.outer.pipeline.filters)

    def report(self, component: str, denied: Denied) -> None:
        """Record a denial that `mode="report"` does not enforce."""
        self.site.report(self, component, denied)

    def admit(self) -> Request:
        """For drivers: from here on `native` may reach its one endpoint and no other. Gives the request that has its body."""
        request = self.onward or self.request
        if self.native is None:
            self.native = request.native
        native: dict[str, Any] = self.native
        native["gatekeep"] = self
        if (self.pipeline.filters or self.outer is not None) and native.get("extensions") and self.filters:
            native["extensions"] = {key: value for key, value in native["extensions"].items() if key not in ZERO_COPY}
        self.admitted = self.pipeline.key
        if self.pipeline.by_path:
            self.admitted_path = type(request).path_of(native)
        return request

    def refetch(self, component: object, note: object = None) -> Io[Response]:
        """Call the app again outside the client's request, through what stands inside `component` and its own on_response.

        For stale-while-revalidate: the fresh answer passes the same hooks as a miss would. Give it to the runner. The hooks
        find `note` in their exchange's `state[component]`.
        """
        return self.site.refetch(self, component, note)

    def detached(self, component: object) -> tuple[Exchange, int]:
        """A second exchange for the same request and caller, and the position of the component in its pipeline."""
        copy = Exchange(self.request, self.site, self.pipeline, self.endpoint, self._params, self.monotonic)
        copy.principal = self.principal
        copy.forwarded = self.forwarded.copy() if self.forwarded is not None else None
        copy._client, copy._request_id = self._client, self.request_id
        return copy, self.pipeline.position(component)

    def __repr__(self) -> str:
        return f"<Exchange {self.request.method} {self.request.path!r} → {self.route}>"


_current: Final[ContextVar[Exchange | Passage | None]] = ContextVar("gatekeep.exchange", default=None)


def current() -> Exchange:
    """The exchange of the request being served. Raises LookupError outside one."""
    exchange = _current.get()
    if exchange is None:
        raise LookupError("no request is passing a gateway here")
    return exchange if isinstance(exchange, Exchange) else exchange.exchange


def principal() -> Principal:
    """The caller of the request being served; a FastAPI dependency as it is: `Depends(gatekeep.principal)`."""
    return current().principal
