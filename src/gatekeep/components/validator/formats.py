"""Formats: what `format` means where it is asserted, by name; the same functions in both engines. Others describe only."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import date
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, Final

from ...patterns.ecma import parse

__all__ = ["FORMATS"]

_LONGEST = 8_192
"""Characters of a text that may have a format at all."""

_match_time = re.compile(
    r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.\d+)?([zZ]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
).fullmatch  # RFC 3339 §5.6
_match_duration = re.compile(
    r"P(?!$)(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)?(?:T(?!$)(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))?)",
    re.ASCII,
).fullmatch  # RFC 3339, Appendix A
_match_uuid = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}").fullmatch  # RFC 9562 §4
_match_label = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?").fullmatch  # RFC 1123 §2.1
_match_local = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII).fullmatch  # RFC 5321 §4.1.2
_match_quoted = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"').fullmatch
_match_pointer = re.compile(r"(?:/(?:[^~/]|~[01])*)*").fullmatch  # RFC 6901 §3
_match_relative_pointer = re.compile(r"(?:0|[1-9]\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)", re.ASCII).fullmatch
_CHARS = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]|%[0-9A-Fa-f]{2})"
_match_uri = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:{_CHARS}*(?:#{_CHARS}*)?").fullmatch  # RFC 3986 §3
_match_reference = re.compile(rf"{_CHARS}*(?:#{_CHARS}*)?").fullmatch


def _is_date(text: str) -> bool:
    if len(text) != 10 or text[4] != "-" or text[7] != "-" or not text.isascii():
        return False
    try:
        date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError:
        return False
    return text.replace("-", "").isdigit()


def _is_time(text: str) -> bool:
    found = _match_time(text)
    if found is None:
        return False
    hour, minute, second, zone = found.groups()
    if second != "60":
        return True
    # A leap second is the last one of a day of UTC.
    minutes = int(hour) * 60 + int(minute)
    if zone not in "zZ":
        away = int(zone[1:3]) * 60 + int(zone[4:])
        minutes += away if zone[0] == "-" else -away
    return minutes % 1440 == 1439


def _is_date_time(text: str) -> bool:
    return len(text) > 11 and text[10] in "tT " and _is_date(text[:10]) and _is_time(text[11:])


def _is_hostname(text: str) -> bool:
    return 0 < len(text) <= 253 and all(_match_label(label) for label in text.split("."))


def _is_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    if not at or len(local) > 64 or not (_match_local(local) or _match_quoted(local)):
        return False
    if domain.startswith("[") and domain.endswith("]"):
        literal = domain[1:-1]
        return _is_ipv6(literal[5:]) if literal[:5].lower() == "ipv6:" else _is_ipv4(literal)
    return _is_hostname(domain)


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return text.isascii()


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text and text.isascii()


def _is_regex(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return False
    return True


def _short(conforms: Any) -> Callable[[str], bool]:
    return lambda text: len(text) <= _LONGEST and bool(conforms(text))


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "byte": _is_base64,  # OpenAPI; the only one whose texts may be long
    **{
        name: _short(conforms)
        for name, conforms in {
            "date": _is_date,
            "date-time": _is_date_time,
            "duration": _match_duration,
            "email": _is_email,
            "hostname": _is_hostname,
            "ipv4": _is_ipv4,
            "ipv6": _is_ipv6,
            "json-pointer": _match_pointer,
            "regex": _is_regex,
            "relative-json-pointer": _match_relative_pointer,
            "time": _is_time,
            "uri": _match_uri,
            "uri-reference": _match_reference,
            "uuid": _match_uuid,
        }.items()
    },
}
