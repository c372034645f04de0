"""What a custom authorizer answered, read into a Decision: what is remembered, and asked again for each later request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from ...clock import Clock
from ...errors import Denied, Forbidden, Unauthorized
from ...exchange import ANONYMOUS, Exchange, Principal
from ...iam import Api, PolicyDocument
from .frozen import frozen

__all__ = ["Decision", "read_answer", "refusal_of", "unknown"]

_SIMPLE = frozenset({"isAuthorized", "context"})
_POLICY = frozenset({"principalId", "policyDocument", "context", "usageIdentifierKey"})
_SCALARS = (str, int, float, bool)


class Decision(NamedTuple):
    """Who asks, and under which policy; or how every request is refused: the error's class and its parts."""

    principal: Principal = ANONYMOUS
    policy: PolicyDocument | None = None
    refusal: tuple[type[Denied], str, str, Sequence[tuple[str, str]]] | None = None
    lasting: bool = True
    """Whether it may be remembered: what was raised is not."""

    def verdict(self, exchange: Exchange, api: Api, clock: Clock) -> Principal:
        """Who asks, where this request is allowed. Raises the refusal."""
        if self.refusal is not None:
            kind, detail, code, headers = self.refusal
            raise kind(detail, code=code, headers=headers)
        if self.policy is not None:
            says = api.ask(self.policy, exchange, clock)
            if says == "deny":
                raise Forbidden("The caller's policy denies this.", code="explicit_deny")
            if says is None:
                raise Forbidden("The caller's policy does not allow this.", code="implicit_deny")
        return self.principal


def unknown(challenge: str) -> Decision:
    """The function does not know the caller."""
    scheme = challenge.partition(" ")[0]
    told = f'{scheme} error="invalid_token"' if scheme == "Bearer" else challenge
    headers = [("www-authenticate", told)]
    return Decision(refusal=(Unauthorized, "The credentials are not known.", "credentials_invalid", headers))


def refusal_of(denied: Denied, challenge: str) -> Decision:
    """A refusal in the function's own words; a 401 names a challenge."""
    headers = list(denied.headers)
    if denied.status == 401 and not any(name.lower() == "www-authenticate" for name, _ in headers):
        headers.append(("www-authenticate", challenge))
    return Decision(refusal=(type(denied), denied.detail, denied.code, headers), lasting=False)


def read_answer(answer: object, values: Sequence[str], proof: str | None, *, as_event: bool) -> Decision | None:
    """The decision; None for a caller whom the function does not know. Raises ValueError for what is no answer.

    `values` are those of the identity: who is let in without a name is known by them, and without them is anonymous.
    """
    if isinstance(answer, Mapping):
        return _of_mapping(answer, values, proof)
    if answer is True or answer is False:
        return Decision(_unnamed(values, proof)) if answer else _FORBIDDEN
    if isinstance(answer, Principal):
        return Decision(answer)
    if answer is None and not as_event:
        return None
    raise ValueError(f"it answered {type(answer).__name__}")


_FORBIDDEN = Decision(refusal=(Forbidden, "The caller is not allowed to do this.", "forbidden", ()))


def _of_mapping(answer: Mapping[Any, Any], values: Sequence[str], proof: str | None) -> Decision:
    if "isAuthorized" in answer:
        if not _SIMPLE.issuperset(answer) or not isinstance(answer["isAuthorized"], bool):
            raise ValueError("a simple response has isAuthorized, true or false, and context")
        if not answer["isAuthorized"]:
            return _FORBIDDEN
        return Decision(_unnamed(values, proof, _context(answer, nested=True)))
    if "policyDocument" not in answer or not _POLICY.issuperset(answer):
        raise ValueError("it answered an object that is neither a simple response nor a policy")
    policy = PolicyDocument(answer["policyDocument"], principals=False)
    claims = _context(answer, nested=False)
    key, who = answer.get("usageIdentifierKey"), answer.get("principalId")
    for name, value in (("usageIdentifierKey", key), ("principalId", who)):
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name} is not a string")
    if key is not None:
        claims["usageIdentifierKey"] = key
    if not who:
        return Decision(_unnamed(values, proof, claims), policy)
    return Decision(Principal("custom", id=who, claims=frozen(claims)), policy)


def _context(answer: Mapping[Any, Any], *, nested: bool) -> dict[str, Any]:
    context = answer.get("context")
    if context is None:
        return {}
    if not isinstance(context, Mapping) or not all(isinstance(name, str) for name in context):
        raise ValueError("context is not an object")
    if not nested and not all(isinstance(value, _SCALARS) for value in context.values()):
        raise ValueError("context holds something else than strings, numbers and booleans")
    return dict(context)


def _unnamed(values: Sequence[str], proof: str | None, claims: Mapping[str, Any] | None = None) -> Principal:
    if not values:
        return ANONYMOUS if not claims else Principal("anonymous", claims=frozen(dict(claims)))
    digest = sha256("".join(f"{len(value)},{value}" for value in values).encode("utf-8", "surrogatepass")).hexdigest()
    return Principal("custom", id=digest[:32], claims=frozen(dict(claims or {})), proof=proof)
