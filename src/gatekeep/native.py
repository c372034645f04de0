"""Native requests that no server made: the ASGI scope and the WSGI environ of a request given by hand, for dry runs and tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

from .environ import OWN_KEYS, Environ, environ_key

__all__ = ["Fields", "environ_of", "fields_of", "scope_of"]

Fields: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

_SINGLE = frozenset({"HTTP_HOST", *OWN_KEYS})
"""Variables of which servers keep the last line; the lines of other fields they join."""


def fields_of(headers: Fields, *, host: str, length: int | None) -> list[tuple[str, str]]:
    """What a client sends: Host, and how long the body is, are added where nothing says so. `length` None: in chunks."""
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("host", host))
    if "content-length" not in names and "transfer-encoding" not in names:
        if length is None:
            fields.append(("transfer-encoding", "chunked"))
        elif length:
            fields.append(("content-length", str(length)))
    return fields


def scope_of(
    method: str,
    target: str,
    fields: Sequence[tuple[str, str]],
    *,
    client: str | None,
    server: str,
    scheme: str = "http",
    root_path: str = "",
) -> dict[str, Any]:
    """The scope of an HTTP request. `target` is the raw path with its query."""
    raw, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": unquote(raw),
        "raw_path": raw.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": root_path,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields],
        "client": (client, 50000) if client is not None else None,
        "server": (server, 80),
        "state": {},
    }


def environ_of(
    method: str,
    target: str,
    fields: Sequence[tuple[str, str]],
    body: bytes,
    *,
    client: str | None,
    server: str,
    scheme: str = "http",
    root_path: str = "",
) -> Environ:
    """The environ of an HTTP request. `target` is the raw path with its query; a body without a length ends where it ends."""
    raw, _, query = target.partition("?")
    path = unquote_to_bytes(raw).decode("latin-1")
    script = root_path.encode().decode("latin-1")
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": script,
        "PATH_INFO": path.removeprefix(script),
        "RAW_URI": target,
        "QUERY_STRING": query,
        "SERVER_NAME": server,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if client is not None:
        environ["REMOTE_ADDR"] = client
    for name, value in fields:
        key = environ_key(name)
        environ[key] = f"{environ[key]},{value}" if key in environ and key not in _SINGLE else value
    if "HTTP_TRANSFER_ENCODING" in environ:
        environ["wsgi.input_terminated"] = True
    return environ
