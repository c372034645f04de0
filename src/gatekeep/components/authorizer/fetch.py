"""One bounded GET for a JSON object, in both colours: what key servers are asked with. No redirect, no decompression."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import ssl
import time
from typing import Any

import httpx2

from ...effects import Io
from ...errors import DependencyError
from .jws import parse_object

__all__ = ["MAX_DOCUMENT", "TIMEOUT", "fetch_object", "is_loopback", "safe_url"]

TIMEOUT = 3.0
"""Seconds for a whole answer."""
MAX_DOCUMENT = 150_000
"""Bytes."""

_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "gatekeep"}


def fetch_object(url: str) -> Io[dict[str, Any]]:
    """GET a JSON object: status 200, at most 150,000 bytes, within 3 s. Raises DependencyError for everything else."""
    return Io(functools.partial(_get, url), functools.partial(_aget, url))


def safe_url(url: str) -> bool:
    """Whether keys may come from there: https, or http to this very host."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError):
        return False
    return bool(parsed.host) and (parsed.scheme == "https" or (parsed.scheme == "http" and is_loopback(url)))


def is_loopback(url: str) -> bool:
    host = httpx2.URL(url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()  # reads the certificate store: once per process


def _options(url: str) -> dict[str, Any]:
    # What goes to this very host goes through no proxy.
    return {"timeout": TIMEOUT, "follow_redirects": False, "verify": _tls(), "trust_env": not is_loopback(url)}


class _Document:
    """The answer as it comes in, within its bounds. The network's time is real time, whatever clock the gateway has."""

    def __init__(self, url: str, response: httpx2.Response, started: float) -> None:
        if response.status_code != 200:
            raise DependencyError(f"{url} answered {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise DependencyError(f"{url} sent an encoded answer that nobody asked for")
        self._url = url
        self._deadline = started + TIMEOUT
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        if time.monotonic() > self._deadline:  # the client's own timeout is for each read, and a server may drip
            raise DependencyError(f"{self._url} took longer than {TIMEOUT} s")
        self._body += chunk
        if len(self._body) > MAX_DOCUMENT:
            raise DependencyError(f"{self._url} sent more than {MAX_DOCUMENT} bytes")

    def end(self) -> dict[str, Any]:
        try:
            return parse_object(bytes(self._body))
        except ValueError as error:
            raise DependencyError(f"{self._url} sent no proper JSON object: {error}") from None


def _get(url: str) -> dict[str, Any]:
    started = time.monotonic()
    try:
        with httpx2.Client(**_options(url)) as client, client.stream("GET", url, headers=_HEADERS) as response:
            document = _Document(url, response, started)
            for chunk in response.iter_raw():
                document.feed(chunk)
    except httpx2.HTTPError as error:
        raise DependencyError(f"{url}: {type(error).__name__}: {error}") from error
    return document.end()


async def _aget(url: str) -> dict[str, Any]:
    # A client per fetch: it belongs to the loop that runs now, and the next fetch is minutes away.
    started = time.monotonic()
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            httpx2.AsyncClient(**_options(url)) as client,
            client.stream("GET", url, headers=_HEADERS) as response,
        ):
            document = _Document(url, response, started)
            async for chunk in response.aiter_raw():
                document.feed(chunk)
    except TimeoutError:
        raise DependencyError(f"{url} took longer than {TIMEOUT} s") from None
    except httpx2.HTTPError as error:
        raise DependencyError(f"{url}: {type(error).__name__}: {error}") from error
    return document.end()
