"""Bounded requests for a JSON object, in both colours: what key servers and introspection endpoints are asked with.

No answer is decompressed, and none followed to another host. The network's time is real time, whatever clock the gateway has.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

import httpx2

from ...effects import Io
from ...errors import DependencyError
from ...forks import reset_after_fork
from .jws import parse_object

__all__ = ["MAX_DOCUMENT", "TIMEOUT", "Endpoint", "fetch_object", "is_loopback", "safe_url"]

TIMEOUT = 3.0
"""Seconds for a whole answer, redirects included."""
MAX_DOCUMENT = 150_000
"""Bytes."""
_MAX_REDIRECTS = 3

_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "gatekeep"}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def fetch_object(url: str, timeout: float | None = None) -> Io[dict[str, Any]]:
    """GET a JSON object: status 200, at most 150,000 bytes, within `timeout` (3 s), from this host and port and no other.

    Raises DependencyError for everything else.
    """
    return Io(functools.partial(_get, url, timeout), functools.partial(_aget, url, timeout))


def safe_url(url: str) -> bool:
    """Whether to believe what comes from there: https, or http to this very host."""
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


def _options(url: str, timeout: float) -> dict[str, Any]:
    # What goes to this very host goes through no proxy.
    return {"timeout": timeout, "follow_redirects": False, "verify": _tls(), "trust_env": not is_loopback(url)}


class _Document:
    """The answer as it comes in, within its bounds."""

    def __init__(self, url: str, response: httpx2.Response, deadline: float) -> None:
        if response.status_code != 200:
            raise DependencyError(f"{url} answered {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise DependencyError(f"{url} sent an encoded answer that nobody asked for")
        self._url = url
        self._deadline = deadline
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        if time.monotonic() > self._deadline:  # the client's own timeout is for each read, and a server may drip
            raise _too_slow(self._url)
        self._body += chunk
        if len(self._body) > MAX_DOCUMENT:
            raise DependencyError(f"{self._url} sent more than {MAX_DOCUMENT} bytes")

    def end(self) -> dict[str, Any]:
        try:
            return parse_object(bytes(self._body))
        except ValueError as error:
            raise DependencyError(f"{self._url} sent no proper JSON object: {error}") from None


def _too_slow(url: str) -> DependencyError:
    return DependencyError(f"{url} took too long")


def _failed(url: str, error: httpx2.HTTPError) -> DependencyError:
    return DependencyError(f"{url}: {type(error).__name__}: {error}")


def _redirected(url: str, response: httpx2.Response) -> str | None:
    """Where an answer sends us, within the same origin; None for an answer that stays. Raises DependencyError."""
    if response.status_code not in _REDIRECTS or "location" not in response.headers:
        return None
    here = httpx2.URL(url)
    try:
        there = here.join(response.headers["location"])
    except httpx2.InvalidURL:
        raise DependencyError(f"{url} redirects to what is no URL") from None
    if (there.scheme, there.host, there.port) != (here.scheme, here.host, here.port):
        raise DependencyError(f"{url} redirects to another place, {there.scheme}://{there.host}: it is not followed")
    return str(there)


def _get(url: str, timeout: float | None) -> dict[str, Any]:
    timeout = TIMEOUT if timeout is None else timeout
    deadline = time.monotonic() + timeout
    try:
        with httpx2.Client(**_options(url, timeout)) as client:
            for _ in range(_MAX_REDIRECTS + 1):
                with client.stream("GET", url, headers=_HEADERS) as response:
                    onward = _redirected(url, response)
                    if onward is None:
                        document = _Document(url, response, deadline)
                        for chunk in response.iter_raw():
                            document.feed(chunk)
                        return document.end()
                if time.monotonic() > deadline:
                    raise _too_slow(url)
                url = onward
    except httpx2.HTTPError as error:
        raise _failed(url, error) from error
    raise DependencyError(f"{url} redirects too often")


async def _aget(url: str, timeout: float | None) -> dict[str, Any]:  # noqa: ASYNC109
    # A client per fetch: it belongs to the loop that runs now, and the next fetch is minutes away.
    timeout = TIMEOUT if timeout is None else timeout
    deadline = time.monotonic() + timeout
    try:
        async with asyncio.timeout(timeout), httpx2.AsyncClient(**_options(url, timeout)) as client:
            for _ in range(_MAX_REDIRECTS + 1):
                async with client.stream("GET", url, headers=_HEADERS) as response:
                    onward = _redirected(url, response)
                    if onward is None:
                        document = _Document(url, response, deadline)
                        async for chunk in response.aiter_raw():
                            document.feed(chunk)
                        return document.end()
                url = onward
    except TimeoutError:
        raise _too_slow(url) from None
    except httpx2.HTTPError as error:
        raise _failed(url, error) from error
    raise DependencyError(f"{url} redirects too often")


class _OnLoop(NamedTuple):
    """What belongs to one event loop."""

    client: httpx2.AsyncClient
    keeper: AsyncGenerator[None]


class Endpoint:
    """An endpoint that forms are posted to often: connections are kept, one pool a process and one an event loop."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        self._url = url
        self._headers = {**_HEADERS, **headers}
        self._timeout = timeout
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """A child opens connections of its own; the parent's sockets are not touched."""
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, _OnLoop] = {}

    def post(self, form: Mapping[str, str]) -> Io[dict[str, Any]]:
        """POST a form and read a JSON object, as `fetch_object` does; no redirect is followed. Raises DependencyError."""
        return Io(lambda: self._post(form), lambda: self._apost(form))

    def _post(self, form: Mapping[str, str]) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        try:
            with self._here().stream("POST", self._url, headers=self._headers, data=form) as response:
                document = _Document(self._url, response, deadline)
                for chunk in response.iter_raw():
                    document.feed(chunk)
                return document.end()
        except httpx2.HTTPError as error:
            raise _failed(self._url, error) from error

    async def _apost(self, form: Mapping[str, str]) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        client = await self._on_loop()
        try:
            async with (
                asyncio.timeout(self._timeout),
                client.stream("POST", self._url, headers=self._headers, data=form) as response,
            ):
                document = _Document(self._url, response, deadline)
                async for chunk in response.aiter_raw():
                    document.feed(chunk)
                return document.end()
        except TimeoutError:
            raise _too_slow(self._url) from None
        except httpx2.HTTPError as error:
            raise _failed(self._url, error) from error

    def _here(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx2.Client(**_options(self._url, self._timeout))
            return self._client

    async def _on_loop(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        here = self._by_loop.get(loop)
        if here is None:
            client = httpx2.AsyncClient(**_options(self._url, self._timeout))
            here = self._by_loop[loop] = _OnLoop(client, self._keep(loop, client))
            await anext(here.keeper)
        return here.client

    async def _keep(self, loop: asyncio.AbstractEventLoop, client: httpx2.AsyncClient) -> AsyncGenerator[None]:
        # A loop closes its asynchronous generators before it ends: so the connections go with their loop.
        try:
            yield
        finally:
            self._by_loop.pop(loop, None)
            await client.aclose()

    def close(self) -> Io[None]:
        """Close the connections of this process' threads and of the running loop; a later post opens new ones."""
        return Io(self._close, self._aclose)

    def _close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _aclose(self) -> None:
        self._close()
        here = self._by_loop.get(asyncio.get_running_loop())
        if here is not None:
            await here.keeper.aclose()
