"""Ways to write the path /admin that some reader takes for it, and readers that do."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Callable, Mapping
from urllib.parse import unquote, unquote_to_bytes

_DISGUISES = {
    "slashes": "/admin //admin ///admin /admin/ /admin// //admin// /./admin /admin/. /admin/./ /.//admin",
    "letters": """
        /ADMIN /Admin /aDMIN/ /%61dmin /%41DMIN /adm%69n /%61%64%6d%69%6e /adm%C4%B1n /adm%C4%B0n /%EF%BD%81dmin
        /%E2%80%8Badmin /admin%C2%A0 /%C2%A0admin /admin%20 /%20admin /admin+ /admin%09""",
    "up and down": """
        /a/../admin /../admin /a/b/../../admin /admin/../admin /admin/.. /a/%2e%2e/admin /%2e/admin /a/.%2e/admin /a/...//admin
        /a/..%2fadmin /a/..%5cadmin /a%2f..%2fadmin /..%2fadmin /a/%252e%252e/admin /a/..%252fadmin""",
    "separators": r"""
        /admin%2f /admin%2F /%2fadmin %2fadmin /admin%5c /%5cadmin \admin /\admin /admin%252f /admin%255c /admin%EF%BC%8F
        /admin%3f /admin%23 /admin%3f/x /admin? /admin?x=/other /admin# /admin%26""",
    "parameters": "/admin; /admin;x=1 /;/admin /;x/admin /admin;/ /a;/../admin /..;/admin /a/..;/admin /admin%3b /admin%3bx",
    "control characters": "/admin%00 /%00admin /admin%00.html /admin%00/x /admin%0a /admin%0d /admin%0d%0a /admin%7f /admin%1f",
    "no UTF-8": "/%c1%a1dmin /%e0%81%a1dmin /%c0%afadmin /a/%c0%ae%c0%ae/admin /%ffadmin /admin%ff /admin%c3 /%80admin",
    "twice": "/%2561dmin /%25%36%31dmin /%252561dmin /%25252e/admin /%2541DMIN /%2e%252fadmin /%u0061dmin /%6admin",
    "no path": "admin ./admin * http://testserver/admin //testserver/admin",
}
TARGETS = ["", *(target for targets in _DISGUISES.values() for target in targets.split())]
"""Request targets, as they stand in the request line."""

ROOTS = ["", "/x", "/admin", "/a", "/adm"]
"""Values of root_path or SCRIPT_NAME: those of servers and mounts that have nothing to do with the app."""

METHODS = [method for verb in ("get", "head", "options", "post", "delete", "trace", "admin") for method in (verb, verb.upper())]
OVERRIDES = ("x-http-method-override", "x-method-override", "x-http-method")


def _overlong(data: bytes) -> str:
    """As a decoder of old does it, which takes overlong forms for what they stand for."""
    data = re.sub(rb"[\xc0\xc1][\x80-\xbf]", lambda found: bytes([(found[0][0] & 1) << 6 | found[0][1] & 0x3F]), data)
    data = re.sub(rb"\xe0[\x80\x81][\x80-\xbf]", lambda found: bytes([(found[0][1] & 1) << 6 | found[0][2] & 0x3F]), data)
    return data.decode("utf-8", "replace")


def _everything(path: str) -> str:
    path = re.split("[?#\0]", unicodedata.normalize("NFKC", unquote(path)))[0].replace("\\", "/")
    return "/" + posixpath.normpath(re.sub(r";[^/]*", "", path)).casefold().strip("/ \t\r\n")


READERS: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda path: path,
    "decoded again": unquote,
    "decoded twice again": lambda path: unquote(unquote(path)),
    "dot segments resolved": posixpath.normpath,
    "decoded again, dot segments resolved": lambda path: posixpath.normpath(unquote(path)),
    "lower case": str.lower,
    "upper case": lambda path: path.upper().lower(),
    "case folded": str.casefold,
    "slashes stripped": lambda path: "/" + path.strip("/"),
    "slashes merged": lambda path: re.sub("/+", "/", path),
    "blanks stripped": lambda path: "/" + path.strip("/ \t\r\n"),
    "parameters dropped": lambda path: re.sub(r";[^/]*", "", path),
    "parameters dropped, dot segments resolved": lambda path: posixpath.normpath(re.sub(r";[^/]*", "", path)),
    "backslashes turned": lambda path: posixpath.normpath(path.replace("\\", "/")),
    "as a part of a URL": lambda path: re.split("[?#]", path)[0],
    "ended by NUL": lambda path: path.partition("\0")[0],
    "compatible characters": lambda path: unicodedata.normalize("NFKC", path),
    "everything at once": _everything,
}
"""How an app may read the path that its server gives it."""

RAW_READERS: Mapping[str, Callable[[bytes], str]] = {
    "overlong forms": lambda raw: _overlong(unquote_to_bytes(raw)),
    "bad bytes ignored": lambda raw: unquote_to_bytes(raw).decode("utf-8", "ignore"),
}
"""How an app may read the bytes of the path, as they were sent."""


def is_admin(path: str) -> bool:
    return path == "/admin" or path.startswith("/admin/")
