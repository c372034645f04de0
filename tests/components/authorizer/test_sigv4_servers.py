"""SigV4 over real servers: what AWS' own client sends passes, and no byte of it can be changed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.httpsession import URLLib3Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.authorizer.signing import SECRET, Signed, sign
from servers import PATIENCE, ROOT, free_port, serving

SERVERS = {
    "gunicorn": ("gunicorn", "--threads=4", "--bind=127.0.0.1:{port}", "--pythonpath={tests}", "{app}:wsgi"),
    "uvicorn": ("uvicorn", "--host=127.0.0.1", "--port={port}", "--app-dir={tests}", "--no-access-log", "{app}:asgi"),
}
APP = "components.authorizer.signed_app"


@pytest.fixture(scope="module", params=SERVERS)
def port(request, tmp_path_factory) -> Iterator[int]:
    port = free_port()
    command = [part.format(port=port, tests=ROOT / "tests", app=APP) for part in SERVERS[request.param]]
    with serving(*command, port=port, cwd=Path(tmp_path_factory.mktemp("server"))):
        yield port


TARGETS = ["/", "/orders/7?b=2&a=1&a=0", "/a%20b/%C3%A9/%2Fc?q=x%20y%2Bz%26", "/t~-._/x:@!$&+,=?empty=&flag"]
FORMS = {
    "in a field": {},
    "in a field, with the hash": {"hashed": True},
    "presigned": {"expires": 60},
    "presigned, with the hash": {"expires": 60, "hashed": True},
    "with a session": {"access_key": "ASIASESSION", "token": "a/token+="},
    "presigned, with a session": {"access_key": "ASIASESSION", "token": "a/token+=", "expires": 60},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", TARGETS)
def test_what_botocore_sends(port, form, target):
    host = f"127.0.0.1:{port}"
    body = b"" if form in ("presigned", "presigned, with a session") else b'{"n": 1}'
    signed = sign("POST", target, {"Content-Type": "application/json"}, body, host=host, **FORMS[form])
    prepared = AWSPreparedRequest("POST", f"http://{host}{signed.target}", HeadersDict(signed.headers), body, False)
    session = URLLib3Session()
    answer = session.send(prepared)
    session.close()
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.content)[2] == body.decode()


def over_a_wire(port: int, signed: Signed, chunked: bool = False) -> tuple[int, bytes]:
    """The status and the body of the answer to exactly these bytes; status 0 where the server gives none."""
    lines = [f"{signed.method} {signed.target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.headers.items())]
    body = signed.body
    lines += ["Connection: close", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}", "", ""]
    if chunked:
        body = b"".join(b"1\r\n%c\r\n" % one for one in body) + b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall("\r\n".join(lines).encode("latin-1") + body)
            received = b""
            while more := connection.recv(65536):
                received += more
        except ConnectionError:
            received = b""
    head, _, rest = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else 0, rest


def test_what_only_some_clients_escape(port):
    signed = sign(target="/a'b(c)*d;=!/e|f\"g{h}?q='(*)!/:@", host=f"127.0.0.1:{port}")
    status, body = over_a_wire(port, signed)
    assert status == 200, body


@pytest.mark.parametrize("hashed", [True, False])
def test_chunked_bodies(port, hashed):
    signed = sign("PUT", "/up", body=b"abcdef", host=f"127.0.0.1:{port}", hashed=hashed)
    assert over_a_wire(port, signed, chunked=True)[0] == 200
    assert over_a_wire(port, signed._replace(body=b"abcdeg"), chunked=True)[0] == 401
    assert over_a_wire(port, signed._replace(body=b"abcde"), chunked=True)[0] == 401


@pytest.fixture(scope="module", params=["in a field", "in a field, with the hash", "presigned, with the hash", "presigned"])
def signed(port, request) -> Signed:
    fields = {"Content-Type": "application/json", "X-Amz-Meta-Note": "to be signed"}
    body = b"" if request.param == "presigned" else b'{"n": [1, 2, 3]}'
    target = "/orders/a%2Fb%20c?q=x%3Ay&page=2"
    made = sign("POST", target, fields, body, host=f"127.0.0.1:{port}", **{**FORMS[request.param], **long_lived(request.param)})
    assert over_a_wire(port, made)[0] == 200
    return made


def long_lived(form):
    return {"expires": 3600} if form.startswith("presigned") else {}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_any_changed_byte_is_refused(port, signed, data):
    """Of the path, the query, a signed field or the body; in the request line and the fields any printable one."""
    where = data.draw(st.sampled_from(["target", *(["body"] if signed.body else []), *signed.headers]))
    before = {"target": signed.target, "body": signed.body.decode("latin-1")}.get(where) or signed.headers[where]
    place = data.draw(st.integers(0, len(before) - 1))
    anything = (
        st.characters(min_codepoint=0, max_codepoint=255) if where == "body" else st.characters(codec="ascii", min_codepoint=33)
    )
    other = data.draw(anything.filter(lambda one: one != before[place]))
    after = before[:place] + other + before[place + 1 :]
    changed = {"target": {"target": after}, "body": {"body": after.encode("latin-1")}}.get(
        where, {"headers": {**signed.headers, where: after}}
    )
    status, body = over_a_wire(port, signed._replace(**changed))
    assert status in (0, 400, 401, 404), (where, before, after, status, body)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_any_byte_more_or_less_is_refused(port, signed, data):
    where = data.draw(st.sampled_from(["path", "query", *(["body"] if signed.body else [])]))
    path, _, query = signed.target.partition("?")
    before = {"path": path, "query": query, "body": signed.body.decode("latin-1")}[where]
    place = data.draw(st.integers(1, len(before) - 1))
    other = data.draw(st.sampled_from(["", *"aZ0/.%+&-~"]))
    after = before[:place] + other + before[place + (0 if other else 1) :]
    parts = {"path": path, "query": query, where: after}
    changed = signed._replace(
        target=f"{parts['path']}?{parts['query']}", body=after.encode("latin-1") if where == "body" else signed.body
    )
    status, body = over_a_wire(port, changed)
    assert status in (0, 400, 401, 404), (where, before, after, status, body)


def test_no_answer_tells_the_secret(port):
    signed = sign("POST", "/", body=b"x", host=f"127.0.0.1:{port}", secret="another")
    status, body = over_a_wire(port, signed)
    assert (status, SECRET.encode() in body) == (401, False)
