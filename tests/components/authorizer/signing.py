"""Requests as AWS' own library signs them, for tests."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gatekeep.testing import FakeClock

ACCESS_KEY, SECRET, REGION = "AKIAIOSFODNN7EXAMPLE", "a-secret-that-both-sides-know", "eu-west-1"


class Signed(NamedTuple):
    """`send(client)` sends it in-process; over a wire take the parts."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def send(self, client: Any, **changes: Any) -> Any:
        method, target, headers, body = self._replace(**changes)
        return client.request(method, target, headers=headers, body=body)

    def but(self, **headers: str | None) -> Signed:
        """With other fields; None drops one. Underscores stand for hyphens."""
        kept = dict(self.headers)
        for name, value in headers.items():
            name = name.replace("_", "-")
            kept = {key: one for key, one in kept.items() if key.lower() != name.lower()}
            if value is not None:
                kept[name] = value
        return self._replace(headers=kept)


def sign(
    method: str = "GET",
    target: str = "/",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    host: str = "testserver",
    access_key: str = ACCESS_KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = REGION,
    service: str = "execute-api",
    hashed: bool = False,
    payload: str | None = None,
    expires: int | None = None,
) -> Signed:
    """`hashed` tells the body's hash in a field, `payload` something else; `expires` presigns for so many seconds."""
    fields = dict(headers or {})
    if hashed or payload is not None:
        fields["X-Amz-Content-SHA256"] = payload or sha256(body).hexdigest()
    # To presign, AWS' library moves a body into the query: one that shall be sent has its hash in a field.
    data = body if expires is None else b""
    request = AWSRequest(method=method, url=f"http://{host}{target}", headers=fields, data=data)
    credentials = Credentials(access_key, secret, token)
    if expires is None:
        SigV4Auth(credentials, service, region).add_auth(request)
    else:
        SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(request)
    sent = {name: value if isinstance(value, str) else value.decode() for name, value in request.headers.items()}
    return Signed(method, request.url.removeprefix(f"http://{host}"), {"Host": host, **sent}, body)


def now() -> FakeClock:
    """A clock that stands at the present, when AWS' library signs."""
    return FakeClock(wall=time.time())
