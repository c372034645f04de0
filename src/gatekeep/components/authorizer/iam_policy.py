"""IAMPolicy: an IAM policy document on known callers, for `Authorize(when=IAMPolicy(...))`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...component import caller
from ...errors import ConfigurationError
from ...exchange import Principal, current
from ...iam import LOCAL, Api, PolicyDocument
from ...message import Request

__all__ = ["IAMPolicy"]

_SCALARS = (str, int, float, bool)


class IAMPolicy:
    """A condition: whether a policy document allows the caller this request. A Deny wins; what nothing allows is refused.

    A document with Principal elements is a resource's: they name callers by id, or by the claim `arn`. One without is the
    caller's own. Variables and conditions: aws:username (the id), aws:userid, aws:PrincipalType (the kind),
    aws:FederatedProvider (the issuer), aws:PrincipalArn, aws:PrincipalTag/<claim>, and those of the
    request. Raises ConfigurationError.
    """

    def __init__(self, document: Mapping[str, Any] | str, *, arn: str = LOCAL) -> None:
        origin = caller()
        try:
            read = json.loads(document) if isinstance(document, str) else document
            self._api = Api(arn)
            self._policy = PolicyDocument(read, principals=_names_principals(read), expand={"execute-api:/": f"{self._api.arn}/"})
        except ValueError as error:
            raise ConfigurationError(f"IAMPolicy: {error}", origin=origin) from None

    def __call__(self, request: Request, principal: Principal) -> bool:
        exchange = current()
        arn = principal.claims.get("arn")
        names = {principal.id, arn} if isinstance(arn, str) else {principal.id}
        known = {} if self._policy.plain else _facts(principal, arn)
        return self._api.ask(self._policy, exchange, exchange.site.gateway.clock, principals=names, known=known) == "allow"


def _names_principals(document: object) -> bool:
    statements = document.get("Statement") if isinstance(document, Mapping) else None
    entries = [statements] if isinstance(statements, Mapping) else statements if isinstance(statements, list) else []
    return any(isinstance(entry, Mapping) and ("Principal" in entry or "NotPrincipal" in entry) for entry in entries)


def _facts(principal: Principal, arn: object) -> dict[str, str | list[str]]:
    facts: dict[str, str | list[str]] = {
        "aws:username": principal.id,
        "aws:userid": principal.client_id or principal.id,
        "aws:principaltype": principal.kind,
        "aws:federatedprovider": principal.issuer,
    }
    if isinstance(arn, str):
        facts["aws:principalarn"] = arn
    for name, value in principal.claims.items():
        key = f"aws:principaltag/{name.lower()}"
        if isinstance(value, (list, tuple)):
            facts[key] = [_text(item) for item in value if isinstance(item, _SCALARS)]
        elif isinstance(value, _SCALARS):
            facts[key] = _text(value)
    return facts


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
