"""XML from strangers: parsed without DTDs, entities, comments or networks, and only what is small."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lxml import etree

__all__ = ["ASSERTION", "METADATA", "SIGNATURE", "BadXml", "moment", "parse", "text_of"]

ASSERTION = "{urn:oasis:names:tc:SAML:2.0:assertion}"
METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}"


class BadXml(ValueError):
    """Not the XML that we take; the text says why and repeats nothing of it."""


def parse(data: bytes, limit: int) -> Any:
    """The root element. Raises BadXml over `limit` bytes, and for DTDs, entities, comments and processing instructions.

    Comments divide a text in some readers' eyes and not in a signature's, so that two may read two names.
    """
    if len(data) > limit:
        raise BadXml("it is too long")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, attribute_defaults=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise BadXml("it is no well-formed XML") from None
    info = root.getroottree().docinfo
    if info.internalDTD is not None or info.externalDTD is not None or info.doctype:
        raise BadXml("it has a document type")
    if any(not isinstance(node.tag, str) for node in root.iter()) or root.getprevious() is not None or root.getnext() is not None:
        raise BadXml("it has comments, entities or processing instructions")
    return root


def text_of(element: Any) -> str:
    """An element's text without the blanks around it. Raises BadXml where elements stand in it."""
    if len(element):
        raise BadXml(f"{element.tag.rpartition('}')[2]} is not text alone")
    return (element.text or "").strip()


def moment(element: Any, name: str) -> float | None:
    """An attribute that is a dateTime with a time zone (SAML V2.0 Core §1.3.3), as Unix time; None if absent. Raises BadXml."""
    value = element.get(name)
    if value is None:
        return None
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        date = None
    if date is None or date.tzinfo is None:
        raise BadXml(f"{name} is not a date")
    return date.timestamp()
