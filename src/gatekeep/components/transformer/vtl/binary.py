"""Binary: AWS' rules on when a body is bytes, text, or the Base64 of bytes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from .values import Failed

__all__ = ["HANDLINGS", "check_types", "is_listed", "request_payload", "response_payload"]

HANDLINGS = ("convert_to_binary", "convert_to_text")
Payload: TypeAlias = str | bytes
_Convert: TypeAlias = Callable[[bytes], Payload]

_TYPE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+/[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def check_types(types: Sequence[str]) -> None:
    """Raise ValueError for what is no list of media types."""
    for each in [types] if isinstance(types, str) else types:
        if isinstance(types, str) or not isinstance(each, str) or not _TYPE.fullmatch(each):
            raise ValueError(f'{each!r} is no list of media types, such as ["image/png"]')


def is_listed(value: str, types: Sequence[str]) -> bool:
    """Whether the first media type of a Content-Type or an Accept is in the list; "image/*" there is any of its kind."""
    kind, slash, subtype = value.partition(",")[0].partition(";")[0].strip().lower().partition("/")
    return bool(slash) and any(each.lower() in (f"{kind}/{subtype}", f"{kind}/*", "*/*") for each in types)


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise Failed("the body is not Base64") from None


_REQUESTS: Mapping[tuple[bool, str | None], _Convert] = {
    (False, None): _text,
    (False, "convert_to_binary"): _decoded,
    (False, "convert_to_text"): _text,
    (True, None): bytes,
    (True, "convert_to_binary"): bytes,
    (True, "convert_to_text"): _encoded,
}
_ANSWERS: Mapping[tuple[bool, bool, str | None], _Convert] = {
    (False, False, None): _text,
    (False, False, "convert_to_binary"): _decoded,
    (False, False, "convert_to_text"): _text,
    (False, True, None): _decoded,
    (False, True, "convert_to_binary"): _decoded,
    (False, True, "convert_to_text"): _text,
    (True, False, None): _encoded,
    (True, False, "convert_to_binary"): bytes,
    (True, False, "convert_to_text"): _encoded,
    (True, True, None): bytes,
    (True, True, "convert_to_binary"): bytes,
    (True, True, "convert_to_text"): _encoded,
}


def request_payload(body: bytes, content_type: str, types: Sequence[str], handling: str | None) -> Payload:
    """Raises Failed for what should be Base64 and is not."""
    return _REQUESTS[is_listed(content_type, types), handling](body)


def response_payload(body: bytes, content_type: str, accept: str, types: Sequence[str], handling: str | None) -> Payload:
    """Raises Failed for what should be Base64 and is not."""
    return _ANSWERS[is_listed(content_type, types), is_listed(accept, types), handling](body)
