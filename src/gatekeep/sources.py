"""Where in a request a value stands: header("X-Tenant"), query("t"), cookie("session"). Values that specs are made of.

`value` reads it as it came; `credential` reads it as something to judge a caller by, and refuses what stands there twice.
`sent` says whether there is anything that `remove` takes out of the request that the app will see.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from urllib.parse import parse_qsl

from .errors import BadRequest
from .headers import is_token
from .message import Forwarded, Request

__all__ = ["Cookie", "Header", "Query", "Source", "cookie", "header", "query"]

_parameters_only = re.compile(
    # One scheme and its parameters (RFC 9110 §11.4): the commas in it join no second field.
    r"""[\w!#$%&'*+.^`|~-]+[ ]+[\w!#$%&'*+.^`|~-]+[ ]?=[ ]?(?:"(?:[^"\\]|\\.)*"|[^\s",]*)"""
    r"""(?:[ ]?,[ ]?[\w!#$%&'*+.^`|~-]+[ ]?=[ ]?(?:"(?:[^"\\]|\\.)*"|[^\s",]*))*""",
    re.ASCII,
).fullmatch


@dataclass(frozen=True, slots=True)
class Source(ABC):
    """A place in a request, by name."""

    name: str

    @property
    @abstractmethod
    def valid(self) -> bool:
        """Whether there can be such a place."""

    @abstractmethod
    def value(self, request: Request) -> str | None:
        """What stands there; None if nothing does."""

    @abstractmethod
    def credential(self, request: Request) -> str | None:
        """What stands there, once. Raises BadRequest (`ambiguous_credentials`) for what two readers may take differently."""

    def sent(self, request: Request) -> bool:
        """Whether an app may find something there, in any spelling."""
        return self.value(request) is not None

    @abstractmethod
    def remove(self, forwarded: Forwarded) -> None:
        """Take it out of what the app will see, in every spelling."""


@dataclass(frozen=True, slots=True)
class Header(Source):
    """A header field; its name in lower case."""

    @property
    def valid(self) -> bool:
        return is_token(self.name)

    def value(self, request: Request) -> str | None:
        return request.header(self.name)

    def credential(self, request: Request) -> str | None:
        value = request.header(self.name)
        # A server may have joined two lines (RFC 9110 §5.3). Of Authorization there is one (§11.6.2).
        if (
            value is not None
            and "," in value
            and self.name == "authorization"
            and (len(request.header_lines(self.name)) > 1 or _parameters_only(value) is None)
        ):
            raise _ambiguous(f"{self.name} field")
        return value

    def sent(self, request: Request) -> bool:
        # An app that is WSGI's somewhere inside has one variable for X-Key and X_Key: see Headers.remove_alike.
        return request.header(self.name) is not None or (
            f"\n{self.name.replace('_', '-')}\n" in request.headers.names().replace("_", "-")
        )

    def remove(self, forwarded: Forwarded) -> None:
        forwarded.headers.remove_alike(self.name)


@dataclass(frozen=True, slots=True)
class Query(Source):
    """A parameter of the query; its name to the letter."""

    @property
    def valid(self) -> bool:
        return self.name != ""

    def value(self, request: Request) -> str | None:
        return next((value for name, value in request.query if name == self.name), None)

    def credential(self, request: Request) -> str | None:
        values = [value for name, value in request.query if name == self.name]
        if len(values) > 1:
            raise _ambiguous(f"{self.name} parameter")
        return values[0] if values else None

    def remove(self, forwarded: Forwarded) -> None:
        parts = forwarded.query_string.split("&")
        forwarded.query_string = "&".join([part for part in parts if not self._is_in(part)])

    def _is_in(self, part: str) -> bool:
        return any(name == self.name for name, _ in parse_qsl(part, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Cookie(Source):
    """A cookie; its name to the letter."""

    @property
    def valid(self) -> bool:
        return is_token(self.name)

    def value(self, request: Request) -> str | None:
        return request.cookies.get(self.name)

    def credential(self, request: Request) -> str | None:
        value = request.cookies.get(self.name)
        if value is not None:
            parts = (request.header("cookie") or "").split(";")
            if sum(part.partition("=")[0].strip() == self.name for part in parts) > 1:
                raise _ambiguous(f"{self.name} cookie")
        return value

    def remove(self, forwarded: Forwarded) -> None:
        lines = forwarded.headers.get_all("cookie")
        if lines:
            parts = [part.strip() for line in lines for part in line.split(";")]
            kept = "; ".join([part for part in parts if part and part.partition("=")[0].strip() != self.name])
            forwarded.headers.remove_alike("cookie")
            if kept:
                forwarded.headers.add("cookie", kept)


def header(name: str) -> Header:
    """A request's header field, whatever the case of its name."""
    return Header(name.lower())


def query(name: str) -> Query:
    """A parameter of a request's query."""
    return Query(name)


def cookie(name: str) -> Cookie:
    """A cookie of a request."""
    return Cookie(name)


def _ambiguous(what: str) -> BadRequest:
    return BadRequest(f"The request has several {what}s.", code="ambiguous_credentials")
