"""The exception tree. Everything gatekeep raises on purpose is a GatekeepError.

GatekeepError
├── ConfigurationError        a mistake in the set-up; raised at start-up, names file, line and fix
├── DependencyError           something gatekeep waits for (a store, a key server) failed; answered as 503
└── Denied                    a request is refused; carries its status and a stable code
    ├── BadRequest            400  ambiguous or malformed; holds in report mode too
    ├── Unauthorized          401
    ├── Forbidden             403
    ├── NotFound              404
    ├── Conflict              409
    ├── PayloadTooLarge       413  holds in report mode too
    ├── UriTooLong            414
    ├── UnsupportedMediaType  415
    ├── Invalid               400  the validator's, with a list of violations
    ├── Throttled             429
    ├── HeadersTooLarge       431
    ├── InternalError         500  a fault of the gateway or of a component; details are in the log only
    ├── InvalidAnswer         500  the app's answer is not what was declared, with a list of violations
    ├── NotGuarded            500  an endpoint was reached around its pipeline
    └── Unavailable           503
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

__all__ = [
    "BadRequest",
    "ConfigurationError",
    "Conflict",
    "Denied",
    "DependencyError",
    "Forbidden",
    "GatekeepError",
    "HeadersTooLarge",
    "InternalError",
    "Invalid",
    "InvalidAnswer",
    "NotFound",
    "NotGuarded",
    "Origin",
    "PayloadTooLarge",
    "Throttled",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "UriTooLong",
    "to_install",
]


class Origin(NamedTuple):
    """The line of the user's code that an object was made on."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def to_install(extra: str) -> str:
    """The command that installs one of gatekeep's extras; in quotes, since shells have a use for brackets."""
    return f'pip install "gatekeep[{extra}]"'


class GatekeepError(Exception):
    """The root; not raised itself."""


class ConfigurationError(GatekeepError):
    """A mistake in the set-up: says what is wrong, where (`file:line` of the offending spec) and how to fix it."""

    def __init__(self, message: str, *, origin: Origin | None = None, fix: str = "") -> None:
        self.origin = origin
        self.fix = fix
        where = f"{origin}: " if origin is not None else ""
        super().__init__(f"{where}{message}{f' ({fix})' if fix else ''}")


class DependencyError(GatekeepError):
    """A store, key server or other back end did not answer as it should; a component may map it, else it is a 503."""


class Denied(GatekeepError):
    """A request is refused: `status`, a stable `code`, a `detail` for the client, and headers that go with the answer."""

    status: ClassVar[int] = 403
    code: str = "denied"
    title: ClassVar[str] = "Denied"
    holds_in_report_mode: ClassVar[bool] = False
    constant: bool = False
    """Whether it is returned, never raised, for one request after another; see lasting()."""
    ready: Any = None
    """What a constant one has been put together to."""

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(detail)
        if code is not None:
            self.code = code
        self.detail = detail
        self.headers = headers
        self.errors = errors

    def lasting(self) -> Self:
        """This very refusal, to be returned by a hook again and again: its answer is put together once."""
        self.constant = not self.errors
        return self

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail}"


class BadRequest(Denied):
    status, code, title = 400, "bad_request", "Bad Request"
    holds_in_report_mode = True


class Unauthorized(Denied):
    status, code, title = 401, "unauthorized", "Unauthorized"


class Forbidden(Denied):
    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(Denied):
    status, code, title = 404, "not_found", "Not Found"


class Conflict(Denied):
    status, code, title = 409, "conflict", "Conflict"


class PayloadTooLarge(Denied):
    status, code, title = 413, "body_too_large", "Content Too Large"
    holds_in_report_mode = True


class UriTooLong(Denied):
    status, code, title = 414, "uri_too_long", "URI Too Long"


class UnsupportedMediaType(Denied):
    status, code, title = 415, "unsupported_media_type", "Unsupported Media Type"


class Invalid(Denied):
    status, code, title = 400, "invalid_request", "Invalid Request"


class Throttled(Denied):
    status, code, title = 429, "throttled", "Too Many Requests"


class HeadersTooLarge(Denied):
    status, code, title = 431, "headers_too_large", "Request Header Fields Too Large"


class InternalError(Denied):
    status, code, title = 500, "internal_error", "Internal Server Error"
    holds_in_report_mode = True


class InvalidAnswer(Denied):
    status, code, title = 500, "invalid_answer", "Internal Server Error"


class NotGuarded(Denied):
    status, code, title = 500, "not_guarded", "Internal Server Error"
    holds_in_report_mode = True


class Unavailable(Denied):
    status, code, title = 503, "unavailable", "Service Unavailable"
