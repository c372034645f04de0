"""Authenticator: a way to prove who one is, as a value. Verifier: the same at work in one gateway."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, TypeAlias

from ...component import Services
from ...declared import Declared, caller
from ...effects import Flow, Protocol
from ...errors import ConfigurationError, Denied, Origin, Unauthorized
from ...exchange import Exchange, Principal
from ...headers import is_token
from ...showing import Shown
from ...sources import Source

__all__ = ["Authenticator", "ForeignCredential", "Opening", "Verdict", "Verifier", "lines"]

Verdict: TypeAlias = Principal | None
"""Who asks; None where the request has no credentials of this kind."""


class ForeignCredential(Unauthorized):
    """Credentials of the right kind that another authority gave out: refused, unless a later authenticator knows it."""


class Verifier(ABC):
    """An authenticator at work: made once per gateway, with the state that its routes share."""

    challenges: Mapping[str, str]
    """By kind of principal that may come out, the WWW-Authenticate value that asks for one (RFC 9110 §11.6.1)."""
    missing: tuple[str, str]
    """Code and detail of the 401 for a request without credentials."""
    reads: Sequence[Source] = ()
    """Where in a request the credentials stand: what `strip` takes out of the request that the app sees."""

    @abstractmethod
    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        """Who asks, or None; a flow where finding out must wait.

        Raises Unauthorized, with its own challenge, for credentials that don't hold, and BadRequest for ambiguous ones.
        """

    def decide(self, exchange: Exchange) -> Verdict | Denied | Flow[Verdict]:
        """As verify, for a caller who takes a refusal as a result, too."""
        return self.verify(exchange)

    def join(self, other: Verifier) -> Verifier | None:
        """One verifier that decides as this one and, after it, the other would, at less cost; None where there is none.

        Both are still started and closed themselves, so the joint one has nothing of its own to start or close.
        """
        return None

    def start(self) -> Flow[None] | None:
        """Once in each process, before its first request or as soon as a route needs it; `verify` also works without."""
        return None

    def close(self) -> Flow[None] | None:
        """When the gateway closes."""
        return None


class Opening(NamedTuple):
    """What an authenticator gets to go to work with."""

    services: Services
    protocol: Protocol
    verifier: Callable[[Authenticator], Verifier]
    """The gateway's one verifier of another authenticator, for those that combine several."""


@dataclass(frozen=True, eq=False)
class Authenticator(Shown, metaclass=Declared):
    """A way to prove who one is: frozen configuration, checked in the user's line. Routes with one object share its state."""

    origin: Origin = field(init=False, repr=False)
    """The line that made it."""

    as_spec: ClassVar[str] = "Authorize({}(...))"
    """What was meant where it stands in place of a spec."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", caller())
        self.check()

    def check(self) -> None:
        """Raise ConfigurationError for fields that make no sense."""

    def mistake(self, message: str, fix: str = "") -> ConfigurationError:
        """The error to raise for this authenticator: names its file and line."""
        return ConfigurationError(f"{type(self).__name__}: {message}", origin=self.origin, fix=fix)

    def check_field(self, option: str) -> None:
        """Raise ConfigurationError where the option is not the name of a header field."""
        name = getattr(self, option)
        if not isinstance(name, str) or not is_token(name):
            raise self.mistake(f"{option}={name!r} is not the name of a header field")

    @abstractmethod
    def open(self, opening: Opening) -> Verifier:
        """Put it to work in one gateway. Raises ConfigurationError for what the gateway or protocol can't do."""


def lines(challenges: Mapping[str, str]) -> list[tuple[str, str]]:
    """Challenges as header lines, each once."""
    return [("www-authenticate", value) for value in dict.fromkeys(challenges.values())]
