"""The specs of who may call before anybody is known: IPRules, by address, and ResourcePolicy, by a policy document."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...component import Spec
from ...iam import LOCAL, Api, PolicyDocument
from ...proxies import parse_address
from .networks import Networks

__all__ = ["IPRules", "ResourcePolicy"]

_REMEMBERED = 4096
"""Callers whose verdict is kept, the least recently seen first to go."""


@dataclass(frozen=True)
class IPRules(Spec):
    """Addresses or networks ("10.0.0.0/8", "2001:db8::1"). A deny wins; with `allow` given, everybody else is refused.

    Rules of several levels all apply. A caller without an address (a Unix socket) passes only where there is no `allow`.
    """

    allow: Collection[str] = ()
    deny: Collection[str] = ()

    def check(self) -> None:
        if not self.allow and not self.deny:
            raise self.mistake("neither allow nor deny is given")
        for name in ("allow", "deny"):
            networks = getattr(self, name)
            if isinstance(networks, str):
                raise self.mistake(f"{name} is a string", fix=f"{name}=[{networks!r}]")
            try:
                Networks(networks)
            except ValueError as error:
                raise self.mistake(f"{name}: {error}") from None

    @functools.cached_property
    def refuses(self) -> Callable[[str | None], bool]:
        """Whether a caller's address is refused; one function and one memory of verdicts, on however many routes it stands."""
        allow, deny = Networks(self.allow), Networks(self.deny)

        @functools.lru_cache(maxsize=_REMEMBERED)
        def refuses(client: str | None) -> bool:
            address = parse_address(client)
            if address is None:
                return bool(allow)
            return address in deny or (bool(allow) and address not in allow)

        return refuses


@dataclass(frozen=True)
class ResourcePolicy(Spec):
    """A resource policy as AWS API Gateway has it: what no statement allows is refused, and a Deny wins.

    `document` is an object, or JSON text; its statements are for everybody (`"Principal": "*"`), as nobody is known yet. Short
    resources (`execute-api:/stage/METHOD/path`) are written out with `arn`.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies.html
    """

    document: Mapping[str, Any] | str
    arn: str = field(default=LOCAL, kw_only=True)

    def check(self) -> None:
        try:
            document = json.loads(self.document) if isinstance(self.document, str) else self.document
            api = Api(self.arn)
            policy = PolicyDocument(document, principals=True, expand={"execute-api:/": f"{api.arn}/"})
        except ValueError as error:
            raise self.mistake(str(error)) from None
        if policy.named:
            raise self.mistake(
                f"a statement names {min(policy.named)!r}, but who calls is not known yet",
                fix='"Principal": "*" here; what a known caller may do is for Authorize',
            )
        object.__setattr__(self, "compiled", (api, policy))

    compiled: tuple[Api, PolicyDocument] = field(init=False, repr=False, compare=False)
