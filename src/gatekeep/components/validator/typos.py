"""Typos: names in a schema that are no keywords, and so judge nothing, but are close to one: "propertys".

JSON Schema allows any name (2020-12 §6.5), so these are told, not refused.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jsonschema_specifications import REGISTRY as SPECIFICATIONS

__all__ = ["misspelt"]

_CLOSE: Final = 0.82
_KNOWN_ELSEWHERE: Final = frozenset(
    {"comment", "discriminator", "example", "externalDocs", "id", "nullable", "xml"}  # OpenAPI's, and what is nobody's mistake
)


def misspelt(schemas: Iterable[Mapping[str, Any]], base: Any) -> dict[str, str]:
    """The nearest keyword of a draft, by the names that are close to one. `base` is jsonschema's class of the draft."""
    found = {}
    for name in {name for schema in schemas for name in schema}:
        keyword = _nearest(name, base.ID_OF(base.META_SCHEMA))
        if keyword is not None:
            found[name] = keyword
    return found


def _nearest(name: str, dialect: str) -> str | None:
    if name.startswith("x-") or name in _KNOWN_ELSEWHERE or len(name) < 3 or name in _every_keyword():
        return None
    folded = name.casefold()
    keywords = {keyword.casefold(): keyword for keyword in _keywords(dialect) if len(keyword) > 3}
    swapped = [each for each in keywords if sorted(each) == sorted(folded)]  # letters that changed places
    close = swapped or difflib.get_close_matches(folded, keywords, 1, _CLOSE)
    return keywords[close[0]] if close else None


@functools.cache
def _keywords(dialect: str) -> frozenset[str]:
    """Those of a draft: of its meta-schema, and of the vocabularies that this one puts together."""
    contents: Any = SPECIFICATIONS[dialect].contents
    vocabularies = [name.replace("/vocab/", "/meta/") for name in contents.get("$vocabulary", ())]
    return frozenset(contents["properties"]).union(
        *(SPECIFICATIONS[name].contents.get("properties", ()) for name in vocabularies if name in SPECIFICATIONS)
    )


@functools.cache
def _every_keyword() -> frozenset[str]:
    """Of all drafts: a name of another one's is no typo."""
    metas = [name for name in SPECIFICATIONS if name.rstrip("#").endswith("/schema")]
    return frozenset().union(*map(_keywords, metas))
