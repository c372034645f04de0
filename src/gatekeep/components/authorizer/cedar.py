"""Cedar: policies in the Cedar language, for `Authorize(when=Cedar(...))`.

https://docs.cedarpolicy.com/policies/syntax-policy.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...component import caller
from ...errors import ConfigurationError, to_install
from ...exchange import Principal, current
from ...message import Request

__all__ = ["Cedar"]

_log = logging.getLogger("gatekeep.authorizer")

_LARGEST = 2**63  # what Cedar's Long holds
_Eid = Mapping[str, str]


class Cedar:
    """A condition for `when`: whether the policies permit this principal this action on this resource.

    The principal is `User::"<id>"`, in `Role::"<role>"` for each of its roles, with the attributes kind, issuer, scopes, roles
    and claims; the action `Action::"GET"`; the resource `Route::"/orders/{id}"`; the context has path, client, stage and
    what `context` gives. Needs `pip install "gatekeep[policy]"`. Raises ConfigurationError for policies that can't be read.
    """

    def __init__(
        self,
        policies: str | Path,
        *,
        entities: Sequence[Mapping[str, Any]] = (),
        schema: str | Mapping[str, Any] | None = None,
        action: Callable[[Request], str] | None = None,
        resource: Callable[[Request], tuple[str, str]] | None = None,
        context: Callable[[Request], Mapping[str, Any]] | None = None,
    ) -> None:
        """`entities` in Cedar's JSON form. `action` gives a name, `resource` an entity's (type, id), `context` more of it."""
        origin = caller()
        try:
            import cedarpy
        except ImportError:
            raise ConfigurationError("Cedar: cedarpy is not installed", origin=origin, fix=to_install("policy")) from None
        try:
            text = policies.read_text("utf-8") if isinstance(policies, Path) else policies
            self._policies = cedarpy.PolicySet.from_str(text)
            self._entities = cedarpy.Entities.from_json_str(json.dumps(list(entities)))
            said = json.dumps(schema) if isinstance(schema, Mapping) else schema
            self._schema = (
                None
                if said is None
                else (cedarpy.Schema.from_json_str if isinstance(schema, Mapping) else cedarpy.Schema.from_str)(said)
            )
            if self._schema is not None:
                self._validate(cedarpy, text)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigurationError(f"Cedar: {error}", origin=origin) from None
        self._ask = cedarpy.is_authorized
        self._action = action
        self._resource = resource
        self._context = context

    def _validate(self, engine: Any, text: str) -> None:
        result = engine.validate_policies(text, self._schema)
        if not result.validation_passed:
            raise ValueError("; ".join(str(getattr(error, "error", error)) for error in result.errors))

    def __call__(self, request: Request, principal: Principal) -> bool:
        """An error in a policy, or in what it is asked with, is a refusal: Cedar would leave out the policy, a forbid too."""
        who = {"type": "User", "id": principal.id}
        entities = self._entities.with_added_json_str(json.dumps([_entity(who, principal)]))
        result = self._ask(self._request(request, who), self._policies, entities, self._schema)
        if result.diagnostics.errors:
            _log.error("Cedar: %s", "; ".join(map(str, result.diagnostics.errors)))
            return False
        return bool(result.allowed)

    def _request(self, request: Request, who: _Eid) -> dict[str, Any]:
        exchange = current()
        kind, name = ("Route", exchange.route or request.path) if self._resource is None else self._resource(request)
        context = {"path": request.path, "client": exchange.client, "stage": exchange.stage}
        if self._context is not None:
            context.update(self._context(request))
        return {
            "principal": who,
            "action": {"type": "Action", "id": request.method.upper() if self._action is None else self._action(request)},
            "resource": {"type": kind, "id": name},
            "context": _value(context),
        }


def _entity(who: _Eid, principal: Principal) -> dict[str, Any]:
    return {
        "uid": who,
        "attrs": {
            "kind": principal.kind,
            "issuer": principal.issuer,
            "scopes": sorted(principal.scopes),
            "roles": sorted(principal.roles),
            "claims": _value(principal.claims),
        },
        "parents": [{"type": "Role", "id": role} for role in sorted(principal.roles)],
    }


def _value(value: Any) -> Any:
    """What Cedar has a type for; the rest (null, numbers that are not whole or too large) is left out of objects and arrays."""
    if isinstance(value, Mapping):
        # Keys that Cedar gives a meaning of its own are no claim's to use.
        return {
            str(name): _value(item)
            for name, item in value.items()
            if _has_type(item) and name not in ("__entity", "__extn", "__expr")
        }
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value if _has_type(item)]
    return value


def _has_type(value: Any) -> bool:
    if isinstance(value, int):
        return -_LARGEST <= value < _LARGEST
    return isinstance(value, (str, Mapping, list, tuple))
