"""What may be served, what may be stored, what goes: pure decisions, with their sources.

A request bypasses the cache or is decided on: a stored answer is used, used while a fresh one is fetched, or validated with
the app; or the app is asked. Its answer is stored or refused for a reason, freshens what was stored, or invalidates it.
Nothing here reads a clock, waits or changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from .directives import Directives, delta, read_control
from .freshness import NEGATIVE, Terms, governing

if TYPE_CHECKING:
    from .entry import Entry
    from .head import Answered

__all__ = [
    "PLAIN",
    "SAFE",
    "Action",
    "Bypass",
    "Decision",
    "Demands",
    "Forward",
    "Header",
    "Refusal",
    "bypass",
    "bypass_fields",
    "decide",
    "demanded",
    "freshens",
    "invalidates",
    "refusal",
    "stands_in",
]

Header: TypeAlias = Callable[[str], str | None]

Bypass: TypeAlias = Literal["method", "authorization", "cookie", "precondition", "body", "path", "report"]
"""Why a request has nothing to do with the cache."""

Forward: TypeAlias = Literal["miss", "vary-miss", "stale", "request"]
"""Why a request goes to the app although it might have been served (RFC 9211 §2.2)."""

Action: TypeAlias = Literal["use", "use-and-fetch", "validate", "forward", "time-out"]

Refusal: TypeAlias = Literal[
    "head",
    "status",
    "no-store",
    "private",
    "no-cache",
    "set-cookie",
    "vary",
    "event-stream",
    "authorization",
    "request",
    "no-lifetime",
    "too-large",
    "length",
    "target",
]
"""Why an answer is not stored."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 §9.2.1; what a method does that nobody knows, nobody knows."""


# The request.


def bypass(path: str, header: Header | None, *, http: bool, authorized: bool, keyed: Mapping[str, bool]) -> Bypass | None:
    """Why this GET or HEAD neither reads nor writes the cache, or None.

    `header`: looks up a field; None where none of bypass_fields() is there. `authorized`: gatekeep authorizes the route;
    `keyed`: which of "authorization" and "cookie" the key tells apart. `http`: RFC 9111 decides of these two.
    """
    if header is not None:
        if not http:
            if not authorized and not keyed["authorization"] and header("authorization") is not None:
                return "authorization"  # whoever it names is the app's knowledge, not ours
            if not keyed["cookie"] and header("cookie") is not None:
                return "cookie"
        if header("if-match") is not None or header("if-unmodified-since") is not None:
            return "precondition"  # RFC 9111 §4.3.2: for the app alone to evaluate
        if header("content-length") not in _NO_BODY or header("transfer-encoding") is not None:
            return "body"  # RFC 9110 §9.3.1: a GET's content is in no key, yet an app may answer by it
    return "path" if "\ufffd" in path else None  # not UTF-8: other bytes that look the same may be another resource


_NO_BODY: Final = (None, "", "0")


def bypass_fields(*, http: bool, authorized: bool, keyed: Mapping[str, bool]) -> tuple[str, ...]:
    """The fields that bypass() asks for on such a route."""
    names = ["if-match", "if-unmodified-since", "content-length", "transfer-encoding"]
    if http or not (authorized or keyed["authorization"]):
        names.append("authorization")  # http: whether what comes back may be shared depends on it
    if not http and not keyed["cookie"]:
        names.append("cookie")
    return tuple(names)


class Demands(NamedTuple):
    """What a client asks of caches (RFC 9111 §5.2.1)."""

    validate: bool = False
    """no-cache, or Pragma where there is no Cache-Control (§5.4), or max-age=0."""
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    only_if_cached: bool = False
    no_store: bool = False

    @property
    def costly(self) -> bool:
        """Whether it may make the app work although a fresh answer is stored: for those who may."""
        return self.validate or self.max_age is not None or self.min_fresh is not None

    @property
    def cheap(self) -> Demands:
        """The same without that."""
        return self._replace(validate=False, max_age=None, min_fresh=None)


PLAIN: Final = Demands()


def demanded(control: str | None, pragma: str | None, *, http: bool) -> Demands:
    """What a request's Cache-Control and Pragma ask. With the gateway's own TTL only max-age=0 and no-cache say something."""
    if control is None:
        return Demands(validate=True) if http and pragma is not None and "no-cache" in read_control(pragma) else PLAIN
    directives = read_control(control)
    max_age = delta(directives, "max-age")
    validate = "no-cache" in directives or max_age == 0
    if not http:
        return Demands(validate=True) if validate else PLAIN
    return Demands(
        validate,
        max_age,
        delta(directives, "min-fresh"),
        _max_stale(directives),
        "only-if-cached" in directives,
        "no-store" in directives,
    )


def _max_stale(directives: Directives) -> int | None:
    if "max-stale" in directives and directives["max-stale"] is None:
        return 2**31  # §5.2.1.2: of any age
    return delta(directives, "max-stale")


class Decision(NamedTuple):
    action: Action
    forward: Forward
    """Why, where the app is asked."""


def decide(entry: Entry | Forward, demands: Demands, now: float) -> Decision:
    """What becomes of a request, given the stored answer for it or why there is none (RFC 9111 §4)."""
    if isinstance(entry, str):
        return Decision("time-out", entry) if demands.only_if_cached else _FORWARD[entry]
    if demands is not PLAIN and _unsatisfied(entry, demands, now):
        if demands.only_if_cached:
            return Decision("time-out", "request")
        return Decision("validate" if entry.validators else "forward", "request")
    if now < entry.due:
        return _USE
    if now < entry.expires:
        return _USE_AND_FETCH
    stale_for = now - entry.expires
    if not entry.strict:  # §4.2.4
        if stale_for < entry.revalidate_within:
            return _USE_AND_FETCH  # RFC 5861 §3
        if demands.max_stale is not None and stale_for <= demands.max_stale:
            return _USE  # RFC 9111 §5.2.1.2
    if demands.only_if_cached:
        return Decision("time-out", "stale")
    return Decision("validate" if entry.validators else "forward", "stale")


def _unsatisfied(entry: Entry, demands: Demands, now: float) -> bool:
    if demands.validate:
        return True
    if demands.max_age is not None and now - entry.born > demands.max_age and demands.max_stale is None:
        return True  # RFC 9111 §5.2.1.1
    return demands.min_fresh is not None and entry.expires - now < demands.min_fresh  # §5.2.1.3


_FORWARD: Final[Mapping[Forward, Decision]] = {forward: Decision("forward", forward) for forward in get_args(Forward)}
_USE: Final = Decision("use", "stale")
_USE_AND_FETCH: Final = Decision("use-and-fetch", "stale")


# The answer.


_MAX_VARY: Final = 8

_FORBIDDING: Final[tuple[tuple[str, Refusal], ...]] = (
    ("no-store", "no-store"),  # RFC 9111 §5.2.2.5
    ("private", "private"),  # RFC 9111 §5.2.2.7: the form that names fields, too
    ("no-cache", "no-cache"),  # RFC 9111 §5.2.2.4: with a TTL of our own nothing is validated while it runs
)
_SHAREABLE: Final = ("public", "must-revalidate", "s-maxage")
"""RFC 9111 §3.5."""
_UNDERSTOOD: Final = frozenset({200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501})
"""Statuses whose caching this module knows all about: what must-understand asks for (RFC 9111 §5.2.2.3)."""


def refusal(
    method: str, head: Answered, terms: Terms, seconds: float | None, *, credentials: bool = False, no_store: bool = False
) -> Refusal | None:
    """Why an answer is not stored, or None where it is (RFC 9111 §3).

    `seconds`: its lifetime, None where nothing says. `credentials`: the request had an Authorization that the key does not
    tell apart; `no_store`: it asked not to be stored.
    """
    if method == "HEAD":
        return "head"  # a HEAD has no body to keep; it is served from what a GET left (RFC 9110 §9.3.2)
    refused = _refused_over_http(head, credentials) if terms.http else _refused_by_ttl(head, terms)
    if refused is not None:
        return refused
    if no_store:
        return "request"  # RFC 9111 §5.2.1.5
    if head.sets_cookie:
        return "set-cookie"  # RFC 9111 §7.3
    if head.vary and ("*" in head.vary or len(head.vary) > _MAX_VARY):
        return "vary"  # RFC 9111 §4.1
    if not seconds and head.etag is None and head.modified is None and not (seconds == 0.0 and terms.outlives):
        return "no-lifetime"  # stale from the first moment, and nothing to validate it by
    if head.streams:
        return "event-stream"
    if head.length is None:
        return None
    return "length" if head.length < 0 else "too-large" if head.length > terms.max_entry else None


def _refused_by_ttl(head: Answered, terms: Terms) -> Refusal | None:
    status = head.status
    if not (200 <= status < 300 and status != 206) and not (terms.negative_ttl and status in NEGATIVE):
        return "status"  # errors and parts (206, RFC 9111 §3.3) are replayed only where that was chosen
    for control in (head.control, head.targeted):
        if control:
            for directive, reason in _FORBIDDING:
                if directive in control:
                    return reason
    return None


def _refused_over_http(head: Answered, credentials: bool) -> Refusal | None:
    status = head.status
    if status < 200 or status in (206, 304):
        return "status"  # RFC 9111 §3, §3.3: parts and validations are no answers of their own
    control = governing(head)
    if "must-understand" in control:
        if status not in _UNDERSTOOD:
            return "status"  # §5.2.2.3; else no-store is for those who don't understand
    elif "no-store" in control:
        return "no-store"
    if "private" in control:
        return "private"
    if credentials and not any(directive in control for directive in _SHAREABLE):
        return "authorization"  # §3.5
    return None


def freshens(method: str, entry: Entry, head: Answered, *, validating: bool) -> bool | None:
    """Whether an answer says that a stored one still holds; None where it says nothing of it.

    A 304 to the cache's own condition does (RFC 9111 §4.3.4), and a HEAD with the same validators and length (§4.3.5).
    """
    if head.status == 304:
        return True if validating else None
    if method == "GET" or head.status != 200 or entry.status != 200:
        return None
    same = head.etag in (None, entry.etag) and head.modified in (None, entry.modified)
    return same and head.length in (None, len(entry.body))


def stands_in(entry: Entry, now: float) -> bool:
    """Whether a stored answer may be served instead of a failure of the app (RFC 5861 §4; RFC 9111 §4.2.4)."""
    return not entry.strict and now - entry.expires < entry.error_within


def invalidates(method: str, status: int) -> bool:
    """Whether what is stored of the target is no longer valid: a method that is not safe went well (RFC 9111 §4.4)."""
    return method not in SAFE and 200 <= status < 400
