"""API keys and signed requests, for `python -m benchmarks.authorizer`: gatekeep, and what people write by hand for them.

Beside API keys stands a FastAPI dependency that looks a digest up; beside Signature Version 4 one that signs the request again
with botocore and compares, as emulators of AWS do.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fastapi import Depends, FastAPI, HTTPException, Request, Response

from gatekeep import ApiKey, Authorize, Gateway, KeyRing, SigV4

from .apps import APPS, Views
from .cases import Case, order_body
from .harness import Subject, check, timer

__all__ = ["subjects"]

HOST, REGION, SERVICE = "api.example.com", "eu-west-1", "execute-api"
ACCESS_KEY, SECRET = "AKIDEXAMPLE", "a-secret-that-both-sides-know"
DAY = 86_400.0

Make = Callable[[Views], Any]


def gatekeep(spec: Authorize, kind: str, views: Views) -> Any:
    app = APPS[kind](views, lambda view: view)
    gateway = Gateway(spec)
    return gateway.wrap(app) if kind in ("ASGI", "WSGI") else gateway.init_app(app)


def _fastapi(known: Callable[[Any], Any], views: Views) -> Any:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    async def caller(request: Request) -> Any:
        who = await known(request)
        if who is None:
            raise HTTPException(401)
        return who

    @app.get("/orders/{order_id}")
    @app.post("/orders")
    async def read(order_id: str = "", who: Any = Depends(caller)) -> Response:  # noqa: B008
        views.runs += 1
        return Response(b'{"id":42,"total":12.5}', media_type="application/json")

    return app


def by_hand_key(owners: dict[str, str], views: Views) -> Any:
    async def known(request: Any) -> str | None:
        text = request.headers.get("x-api-key")
        return None if text is None else owners.get(sha256(text.encode()).hexdigest())

    return _fastapi(known, views)


def by_hand_signature(views: Views) -> Any:
    credentials = Credentials(ACCESS_KEY, SECRET)

    async def known(request: Any) -> str | None:
        sent = request.headers.get("authorization", "")
        _, _, signature = sent.partition("Signature=")
        names = sent.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        again = AWSRequest(
            request.method,
            str(request.url),
            {name: request.headers.get(name, "") for name in names},
            await request.body(),
        )
        again.context["timestamp"] = request.headers.get("x-amz-date", "")
        signer = SigV4Auth(credentials, SERVICE, REGION)
        text = signer.string_to_sign(again, signer.canonical_request(again))
        return ACCESS_KEY if hmac.compare_digest(signer.signature(text, again), signature) else None

    return _fastapi(known, views)


def signed(method: str = "GET", path: str = "/orders/42", body: bytes = b"", *, hashed: bool = False) -> list[tuple[str, str]]:
    fields = {"Host": HOST, **({"X-Amz-Content-SHA256": sha256(body).hexdigest()} if hashed else {})}
    request = AWSRequest(method, f"http://{HOST}{path}", fields, body)
    SigV4Auth(Credentials(ACCESS_KEY, SECRET), SERVICE, REGION).add_auth(request)
    return [(name.lower(), value) for name, value in request.headers.items() if name != "Host"]


def presigned() -> str:
    request = AWSRequest("GET", f"http://{HOST}/orders/42", {"Host": HOST})
    SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET), SERVICE, REGION, expires=int(DAY)).add_auth(request)
    return str(request.url).removeprefix(f"http://{HOST}")


class Contest(NamedTuple):
    """A case, and who takes part in it: the name, the app that it runs on, and how it is made."""

    case: Case
    ways: list[tuple[str, str, Make]]


def _ways(spec: Authorize, peer: Make | None) -> list[tuple[str, str, Make]]:
    ours = [("gatekeep, bare ASGI", "ASGI"), ("gatekeep, bare WSGI", "WSGI"), ("gatekeep, FastAPI", "FastAPI")]
    ways: list[tuple[str, str, Make]] = [(name, kind, partial(gatekeep, spec, kind)) for name, kind in ours]
    return ways + ([("by hand, FastAPI", "FastAPI", peer)] if peer is not None else [])


def _case(name: str, headers: Callable[[], list[tuple[str, str]]], status: int = 200, **options: Any) -> Case:
    return Case(name, list, headers=headers, status=status, runs_view=status == 200, **options)


def _keys() -> Iterator[Contest]:
    ring = KeyRing("memory://")
    texts = [ring.create("acme").text for _ in range(2_000)]
    owners = {sha256(text.encode()).hexdigest(): "acme" for text in texts}
    rounds = iter(texts * 10_000)
    peer = partial(by_hand_key, owners)

    def key(text: str) -> list[tuple[str, str]]:
        return [("x-api-key", text)]

    spec = Authorize(ApiKey(ring))
    yield Contest(_case("API key, remembered", lambda: key(texts[0])), _ways(spec, peer))
    unremembered = Authorize(ApiKey(ring, remember=1))
    yield Contest(_case("API key, first seen", lambda: key(next(rounds)), fresh=True), _ways(unremembered, peer))
    yield Contest(_case("API key, unknown", lambda: key("x" * 40), status=401, total=6), _ways(spec, peer))
    yield Contest(_case("API key, none", list, status=401, total=6), _ways(spec, peer))


def _signatures() -> Iterator[Contest]:
    spec = Authorize(SigV4({ACCESS_KEY: SECRET}, REGION, skew=DAY))
    body = order_body()
    get, bad = signed(), signed(path="/orders/43")
    post: dict[str, Any] = {"method": "POST", "path": "/orders", "body": body}
    plain, hashed = signed(**post), signed(**post, hashed=True)
    yield Contest(_case("SigV4, GET", lambda: get), _ways(spec, by_hand_signature))
    yield Contest(_case("SigV4, POST 1 KB", lambda: plain, **post), _ways(spec, by_hand_signature))
    yield Contest(_case("SigV4, POST 1 KB, hash signed", lambda: hashed, **post), _ways(spec, by_hand_signature))
    yield Contest(_case("SigV4, wrong", lambda: bad, status=401, total=32), _ways(spec, by_hand_signature))
    yield Contest(_case("SigV4, presigned", list, path=presigned()), _ways(spec, None))


def _with_host(case: Case) -> list[tuple[str, str]]:
    return [("host", HOST), *case.headers()]


def subjects(text: str) -> Iterator[Subject]:
    """The rows of cases whose name holds a text."""
    for contest in (*_keys(), *_signatures()):
        if text in contest.case.name:
            for name, kind, make in contest.ways:
                views = Views()
                app = make(views)
                # The timers' requests have this host already.
                check(app, replace(contest.case, headers=partial(_with_host, contest.case)), views)
                yield Subject(name, contest.case, timer(kind, app, contest.case))
