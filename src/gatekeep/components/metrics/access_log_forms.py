"""How a record of the access log reads: JSON, the Common and the Combined Log Format, or a template of `$context` variables.

One line of printable ASCII whatever a client chose; no query string but the Referer's, and no secret in that.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import format_span_id, format_trace_id

from .redact import redacted

if TYPE_CHECKING:
    from .access_log import Entry

__all__ = ["VARIABLES", "Form", "form_of", "masked", "unknown_variables"]

Form = Callable[[Any], str]

_TOKEN = re.compile(r"eyJ[\w-]{4,}\.[\w-]+\.[\w-]*|(?<=[Bb]earer )[\w.~+/-]+=*|(?<=[Bb]asic )[\w+/]+=*")
"""What looks like a JSON Web Token, or like credentials of an Authorization field, wherever it stands."""


def form_of(name: str, secrets: Collection[str]) -> Form:
    """The form of that name, or of that template."""
    if "$context." in name:
        return _template(name, secrets)
    return {"json": _json, "common": _common, "combined": lambda entry: _combined(entry, secrets)}[name]


def masked(text: str | None) -> str | None:
    return _TOKEN.sub("REDACTED", text) if text else text


# JSON.

_encode = json.JSONEncoder(separators=(",", ":")).encode
"""Escapes everything beyond printable ASCII, line breaks among it (RFC 8259 §7)."""


def _json(entry: Entry) -> str:
    whole = int(entry.wall)
    record: dict[str, Any] = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((entry.wall - whole) * 1000):03d}Z",
        "request_id": entry.request_id,
        "client": entry.client,
        "principal": _who(entry),
        "method": entry.method,
        "host": entry.host,
        "path": masked(entry.path),
        "protocol": f"HTTP/{entry.version}",
        "stage": entry.stage,
        "route": entry.route,
        "status": entry.status,
        "bytes": entry.sent,
        "duration_ms": round(entry.duration * 1000, 3),
        "head_ms": _milliseconds(entry.head),
        "app_ms": _milliseconds(entry.integration),
        "waits_ms": {name: _milliseconds(_waited(entry, name)) for name, _ in entry.waits},
        "outcome": entry.outcome,
        "error": entry.error,
        "decisions": [f"{component}:{outcome}" for component, outcome in entry.decisions],
        "user_agent": masked(entry.user_agent),
    }
    if entry.span is not None:
        record["trace_id"], record["span_id"] = _trace_id(entry), _span_id(entry)
    return _encode(record)


def _milliseconds(seconds: float | None) -> float | None:
    return round(seconds * 1000, 3) if seconds is not None else None


def _waited(entry: Entry, component: str) -> float | None:
    """The seconds that a component had to wait, in all; None where it did not."""
    waits = [seconds for name, seconds in entry.waits if name == component]
    return sum(waits) if waits else None


# Common Log Format: host ident authuser [date] "request" status bytes. Combined: "referer" "user agent" after it.

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_WORD = re.compile(r"[^!#-\[\]-~]")


def _date(entry: Entry) -> str:
    at = time.gmtime(entry.wall)
    return f"{at.tm_mday:02d}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} +0000"


def _common(entry: Entry) -> str:
    line = f"{entry.method} {masked(entry.path)} HTTP/{entry.version}"
    return (
        f'{entry.client or "-"} - {_word(_who(entry))} [{_date(entry)}] "{_plain(line)}" '
        f"{_or_dash(entry.status)} {_or_dash(entry.sent)}"
    )


def _combined(entry: Entry, secrets: Collection[str]) -> str:
    referer = entry.referer or "-"
    address, question, query = referer.partition("?")
    if question:
        query, _, _ = query.partition("#")
        referer = f"{address}?{redacted(query, secrets)}"
    return f'{_common(entry)} "{_plain(masked(referer) or "-")}" "{_plain(masked(entry.user_agent) or "-")}"'


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _word(text: str | None) -> str:
    return _UNSAFE_WORD.sub(_escaped, text) if text else "-"


def _plain(text: str) -> str:
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogatepass"))


# Templates of AWS' access logs: $context.name, "-" for what is not there.

_VARIABLE = re.compile(r"\$context\.([A-Za-z_][\w:-]*(?:\.[A-Za-z_][\w:-]*)*)")


def _who(entry: Entry) -> str | None:
    return None if entry.principal.anonymous else entry.principal.id


def _trace_id(entry: Entry) -> str | None:
    return format_trace_id(entry.span.trace_id) if entry.span is not None else None


def _span_id(entry: Entry) -> str | None:
    return format_span_id(entry.span.span_id) if entry.span is not None else None


def _xray(entry: Entry) -> str | None:
    trace = _trace_id(entry)
    return f"1-{trace[:8]}-{trace[8:]}" if trace is not None else None


def _route_key(entry: Entry) -> str:
    return f"{entry.method} {entry.route}" if entry.route is not None else "$default"


def _whole(seconds: float | None) -> int | None:
    return round(seconds * 1000) if seconds is not None else None


VARIABLES: Mapping[str, Callable[[Entry], object]] = {
    # AWS'
    "authorizer.integrationLatency": lambda entry: _whole(_waited(entry, "authorizer")),
    "authorizer.latency": lambda entry: _whole(_waited(entry, "authorizer")),
    "authorizer.principalId": _who,
    "domainName": lambda entry: entry.host.rpartition(":")[0] or entry.host,
    "error.responseType": lambda entry: entry.error,
    "extendedRequestId": lambda entry: entry.request_id,
    "httpMethod": lambda entry: entry.method,
    "identity.apiKeyId": lambda entry: entry.principal.client_id if entry.principal.kind == "api_key" else None,
    "identity.caller": _who,
    "identity.sourceIp": lambda entry: entry.client,
    "identity.user": _who,
    "identity.userAgent": lambda entry: entry.user_agent,
    "integration.latency": lambda entry: _whole(entry.integration),
    "integrationLatency": lambda entry: _whole(entry.integration),
    "path": lambda entry: entry.path,
    "protocol": lambda entry: f"HTTP/{entry.version}",
    "requestId": lambda entry: entry.request_id,
    "requestTime": _date,
    "requestTimeEpoch": lambda entry: int(entry.wall * 1000),
    "resourcePath": lambda entry: entry.route,
    "responseLatency": lambda entry: round(entry.duration * 1000),
    "responseLength": lambda entry: entry.sent,
    "routeKey": _route_key,
    "stage": lambda entry: entry.stage,
    "status": lambda entry: entry.status,
    "xrayTraceId": _xray,
    # Ours
    "decisions": lambda entry: ",".join(f"{component}:{outcome}" for component, outcome in entry.decisions),
    "outcome": lambda entry: entry.outcome,
    "spanId": _span_id,
    "traceId": _trace_id,
}
"""Besides `authorizer.claims.NAME`: a claim of the principal's."""
_CLAIM = "authorizer.claims."


def unknown_variables(template: str) -> list[str]:
    """The names in a template that mean nothing here."""
    return [name for name in _VARIABLE.findall(template) if name not in VARIABLES and not name.startswith(_CLAIM)]


def _template(template: str, secrets: Collection[str]) -> Form:
    pieces = _VARIABLE.split(template)  # text, name, text, …, text
    texts, reads = pieces[::2], [_reader(name, secrets) for name in pieces[1::2]]
    begins = template.lstrip()[:1]
    if begins == "{":
        writes = [_in_json_string if quoted else _in_json for quoted in _quoted(texts)]
    else:
        writes = [_in_xml if begins == "<" else _in_text] * len(reads)

    def render(entry: Entry) -> str:
        parts = [texts[0]]
        for read, write, text in zip(reads, writes, texts[1:], strict=True):
            parts += (write(read(entry)), text)
        return "".join(parts)

    return render


def _reader(name: str, secrets: Collection[str]) -> Callable[[Entry], object]:
    if not name.startswith(_CLAIM):
        return VARIABLES[name]
    claim = name.removeprefix(_CLAIM)
    if claim.lower() in secrets:
        return lambda _: "REDACTED"
    return lambda entry: entry.principal.claims.get(claim)


def _quoted(texts: list[str]) -> list[bool]:
    """Of the values between texts of JSON, whether each is a part of a string."""
    inside, found = False, []
    for text in texts[:-1]:
        inside ^= re.sub(r"\\.", "", text).count('"') % 2 == 1
        found.append(inside)
    return found


# How a value is made safe for what it stands in.


def _said(value: object) -> str:
    """A value in words, "-" for what is not there."""
    if value is None or value == "":
        return "-"
    text = value if isinstance(value, str) else _encode(value)
    return masked(text) or ""


def _in_text(value: object) -> str:
    return _plain(_said(value))


def _in_json_string(value: object) -> str:
    return _encode(_said(value))[1:-1]


def _in_json(value: object) -> str:
    """A value of its own: a number, a string, null for what is not there."""
    if value is None or value == "":
        return "null"
    return _encode(masked(value)) if isinstance(value, str) else _said(value)


_UNSAFE_IN_XML = re.compile(r"[^ !#-%(-;=?-~]")


def _in_xml(value: object) -> str:
    return _UNSAFE_IN_XML.sub(_reference, _said(value))


def _reference(found: re.Match[str]) -> str:
    """A character reference; to U+FFFD for what is no character of XML's (XML 1.0 §2.2)."""
    code = ord(found[0])
    known = code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
    return f"&#{code if known else 0xFFFD};"
