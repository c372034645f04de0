"""PolicyDocument: the statements of an IAM policy, compiled once, evaluated for each request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from .conditions import Condition, compile_conditions, texts
from .pattern import ArnPattern, BadPolicy, Facts, Pattern

__all__ = ["BadPolicy", "Facts", "PolicyDocument", "Verdict"]

Verdict: TypeAlias = Literal["allow", "deny"] | None
"""None: no statement says anything, which is a denial by default."""

_ELEMENTS = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})
_PRINCIPALS = frozenset({"Principal", "NotPrincipal"})
_ACTIONS = 16
"""Actions whose statements are remembered; a gateway asks about one."""
_VERSIONS = (None, "2008-10-17", "2012-10-17")


class _Statement(NamedTuple):
    denies: bool
    actions: Sequence[Pattern]
    other_actions: bool
    resources: Sequence[ArnPattern] | None
    other_resources: bool
    principals: frozenset[str] | None
    other_principals: bool
    conditions: Sequence[Condition]

    def is_about(self, action: str) -> bool:
        return any(pattern.matches(action, {}) for pattern in self.actions) is not self.other_actions

    def applies(self, resources: Sequence[str], facts: Facts, principals: Collection[str]) -> bool:
        if self.resources is not None and not self._covers(resources, facts):
            return False
        if self.principals is not None:
            named = "*" in self.principals or not self.principals.isdisjoint(principals)
            if named is self.other_principals:
                return False
        return not self.conditions or all(holds(facts) for holds in self.conditions)

    def _covers(self, resources: Sequence[str], facts: Facts) -> bool:
        wanted = not self.other_resources
        for one in resources:
            found = False
            for pattern in self.resources or ():
                if pattern.matches(one, facts):
                    found = True
                    break
            if found is wanted:
                return True
        return False


class PolicyDocument:
    """A policy document, of identity (`principals=False`) or of a resource. Raises ValueError for what is none.

    `expand` turns each Resource into a full ARN, where the document may be written with short ones.
    """

    __slots__ = ("_by_action", "_statements", "named", "plain")

    def __init__(self, document: object, *, principals: bool, expand: Mapping[str, str] | None = None) -> None:
        if not isinstance(document, Mapping):
            raise BadPolicy(f"a policy document is an object, not {document!r}")
        unknown = set(document) - {"Version", "Id", "Statement"}
        if unknown:
            raise BadPolicy(f"a policy document has no {min(map(str, unknown))!r}")
        version = document.get("Version")
        if version not in _VERSIONS:
            raise BadPolicy(f"there is no Version {version!r} of policy documents; the newest is 2012-10-17")
        entries = document.get("Statement")
        entries = [entries] if isinstance(entries, Mapping) else entries
        if not isinstance(entries, (list, tuple)):
            raise BadPolicy("a policy document has a Statement")
        statements = [_statement(entry, principals, expand or {}, version == "2012-10-17") for entry in entries]
        self._statements = statements
        self._by_action: dict[str, tuple[list[_Statement], list[_Statement]]] = {}
        self.named: frozenset[str] = frozenset().union(*(one.principals or () for one in statements)) - {"*"}
        """The principals that some statement names."""
        self.plain = not any(one.conditions or any(not each.fixed for each in one.resources or ()) for one in statements)
        """Whether it asks for no facts."""

    def evaluate(
        self,
        action: str,
        resource: str,
        facts: Facts,
        *,
        principals: Collection[str] = (),
        also: Callable[[], Sequence[str]] = tuple,
    ) -> Verdict:
        """What the document says. `also` gives other names of the resource, none of which may be denied."""
        denies, allows = self._by_action.get(action) or self._about(action)
        names = (resource,)
        if denies:
            every = (resource, *also())
            for statement in denies:
                if statement.applies(every, facts, principals):
                    return "deny"
        for statement in allows:
            if statement.applies(names, facts, principals):
                return "allow"
        return None

    def _about(self, action: str) -> tuple[list[_Statement], list[_Statement]]:
        about = [statement for statement in self._statements if statement.is_about(action)]
        found = [one for one in about if one.denies], [one for one in about if not one.denies]
        if len(self._by_action) < _ACTIONS:
            self._by_action[action] = found
        return found


def _statement(entry: object, principals: bool, expand: Mapping[str, str], variables: bool) -> _Statement:
    if not isinstance(entry, Mapping):
        raise BadPolicy(f"a statement is an object, not {entry!r}")
    unknown = set(entry) - _ELEMENTS - (_PRINCIPALS if principals else set())
    if unknown:
        raise BadPolicy(f"a statement here has no {min(map(str, unknown))!r}")
    effect = entry.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise BadPolicy(f"Effect is {effect!r}, neither Allow nor Deny")
    action, other_actions = _either(entry, "Action")
    if action is None:
        raise BadPolicy("a statement has an Action or a NotAction")
    resource, other_resources = _either(entry, "Resource")
    if resource is None and not principals:
        raise BadPolicy("a statement has a Resource or a NotResource")
    who, other_principals = _either(entry, "Principal")
    if who is None and principals:
        raise BadPolicy("a statement of a resource policy has a Principal or a NotPrincipal")
    if other_principals and effect == "Allow":
        raise BadPolicy("NotPrincipal with Allow would let in everybody unknown")
    return _Statement(
        effect == "Deny",
        [Pattern(text, variables=False, fold=True) for text in texts(action, "Action")],
        other_actions,
        None if resource is None else [_resource(text, expand, variables) for text in texts(resource, "Resource")],
        other_resources,
        None if who is None else _names(who),
        other_principals,
        compile_conditions(entry["Condition"], variables=variables) if "Condition" in entry else (),
    )


def _either(entry: Mapping[Any, Any], name: str) -> tuple[Any, bool]:
    """The element, or its opposite, and which of the two it is."""
    if name in entry and f"Not{name}" in entry:
        raise BadPolicy(f"a statement has either {name} or Not{name}")
    return (entry[f"Not{name}"], True) if f"Not{name}" in entry else (entry.get(name), False)


def _resource(text: str, expand: Mapping[str, str], variables: bool) -> ArnPattern:
    for short, full in expand.items():
        if text.startswith(short):
            text = full + text[len(short) :]
            break
    return ArnPattern(text, variables=variables)


def _names(who: object) -> frozenset[str]:
    if who == "*":
        return frozenset("*")
    if not isinstance(who, Mapping) or not who:
        raise BadPolicy(f'Principal is {who!r}, neither "*" nor an object')
    return frozenset(name for kind, names in who.items() for name in texts(names, kind))
