"""One busy app per framework, for test_transparency.py: streams, events, uploads, background work, sub-apps, error handlers.

Each builder takes a log, in which the app writes down what it does, and a directory with the file "file.bin".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse as DjangoFileResponse
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path
from django.views import View
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, Response, UploadFile, WebSocket
from flask import Blueprint, Flask, abort, redirect, request, send_file, stream_with_context
from starlette.applications import Starlette
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

Log = list[Any]


class Odd(Exception):
    """What no handler knows."""


class Known(Exception):
    """What an error handler answers."""


def opaque_wsgi(log: Log, directory: Path) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        target = environ["PATH_INFO"]
        log.append(f"called {environ['REQUEST_METHOD']} {target}")
        if target == "/crash":
            raise Odd
        if target == "/write":
            write = start_response("200 OK", [("X-A", "1")])
            write(b"first")
            return [b"second"]
        if target == "/upload":
            size = 0
            while piece := environ["wsgi.input"].read(65536):
                size += len(piece)
            start_response("200 OK", [("Content-Length", str(len(str(size))))])
            return [str(size).encode()]
        if target == "/nothing":
            start_response("204 Quite Empty", [])
            return []
        if target in ("/stream", "/late"):
            return chunks(target, start_response)
        start_response("404 Not Here", [("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
        return (b"not ", b"here")

    def chunks(target: str, start_response: Any) -> Iterator[bytes]:
        if target == "/late":
            log.append("starts late")
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            for number in range(3):
                log.append(f"made {number}")
                yield b"%d" % number
            yield b""
        finally:
            log.append("closed")

    return app


def opaque_asgi(log: Log, directory: Path) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        log.append(f"called {scope['type']} {scope.get('method')} {scope['path']}")
        target = scope["path"]
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": "x"})
            message = await receive()
            await send({"type": "websocket.send", "bytes": message["bytes"]})
            await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
            return
        if target == "/crash":
            raise Odd
        start = {"type": "http.response.start", "status": 200, "headers": [(b"X-Odd-Case", b"kept"), (b"set-cookie", b"a=1")]}
        if target == "/upload":
            size = 0
            while (message := await receive()).get("more_body"):
                size += len(message["body"])
            size += len(message["body"])
            await send(start)
            await send({"type": "http.response.body", "body": str(size).encode()})
            log.append((await receive())["type"])
            return
        if target == "/trailers":
            await send({"type": "http.response.early_hint", "links": [b"</a>"]})
            await send({**start, "trailers": True})
            await send({"type": "http.response.body", "body": b"x"})
            await send({"type": "http.response.trailers", "headers": [(b"a", b"b")]})
            return
        if target == "/pathsend":
            await send(start)
            await send({"type": "http.response.pathsend", "path": str(directory / "file.bin")})
            return
        await send(start)
        for number in range(3):
            log.append(f"made {number}")
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await send({"type": "http.response.body"})
        log.append("in the background")

    return app


def flask(log: Log, directory: Path) -> Any:
    app = Flask("busy", static_folder=str(directory))
    blueprint = Blueprint("part", "part", url_prefix="/part")

    @app.before_request
    def before() -> None:
        log.append(f"before {request.method} {request.path}")

    @app.after_request
    def after(response: Any) -> Any:
        log.append(f"after {response.status_code}")
        return response

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        log.append(f"teardown {error!r}")

    @app.get("/stream")
    def stream() -> Any:
        @stream_with_context
        def chunks() -> Iterator[str]:
            for number in range(3):
                log.append(f"made {number} for {request.path}")
                yield f"data: {number}\n\n"

        response = app.response_class(chunks(), mimetype="text/event-stream")
        response.call_on_close(lambda: log.append("in the background"))
        return response

    @app.post("/upload")
    def upload() -> str:
        size = 0
        while piece := request.stream.read(65536):
            size += len(piece)
        return str(size)

    @app.post("/form")
    def form() -> str:
        return str(len(request.files["file"].read()))

    @app.get("/file")
    def file() -> Any:
        return send_file(directory / "file.bin", etag=False, last_modified=None)

    @app.get("/slash/")
    def slash() -> str:
        return "slash"

    @app.get("/away")
    def away() -> Any:
        return redirect("/elsewhere")

    @app.get("/cookies")
    def cookies() -> Any:
        response = app.make_response("x")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.get("/teapot")
    def teapot() -> str:
        abort(418)

    @app.get("/known")
    def known() -> str:
        raise Known

    @app.get("/crash")
    def crash() -> str:
        raise Odd

    @app.errorhandler(Known)
    def handle(error: Known) -> Any:
        return "handled", 409, {"X-Handled": "yes"}

    @blueprint.get("/<int:number>")
    def numbered(number: int) -> dict[str, int]:
        return {"number": number}

    app.register_blueprint(blueprint)
    return app


def dispatched(log: Log, directory: Path) -> Any:
    """Flask with a sub-app mounted as WSGI apps are."""
    app = flask(log, directory)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/sub": opaque_wsgi(log, directory)})
    return app


def fastapi(log: Log, directory: Path) -> Any:
    app = FastAPI()
    router = APIRouter(prefix="/part")

    def sub_page(request: Any) -> Any:
        return PlainTextResponse(f"{request.scope['root_path']} {request.path_params}")

    async def chunks() -> AsyncIterator[str]:
        for number in range(3):
            log.append(f"made {number}")
            yield f"data: {number}\n\n"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks(), media_type="text/event-stream")

    @app.post("/upload")
    async def upload(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    @app.post("/form")
    async def form(file: UploadFile) -> int:
        return len(await file.read())

    @app.get("/file")
    async def file() -> FileResponse:
        return FileResponse(directory / "file.bin")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(log.append, "in the background")
        return "later"

    @app.get("/slash/")
    async def slash() -> str:
        return "slash"

    @app.get("/cookies")
    async def cookies(response: Response) -> str:
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return "x"

    @app.get("/teapot")
    async def teapot() -> str:
        raise HTTPException(418, "short and stout", headers={"X-Handle": "here"})

    @app.get("/known")
    async def known() -> str:
        raise Known

    @app.get("/crash")
    async def crash() -> str:
        raise Odd

    @app.exception_handler(Known)
    async def handle(request: Request, error: Known) -> PlainTextResponse:
        return PlainTextResponse("handled", 409)

    @router.get("/{number}")
    async def numbered(number: int) -> dict[str, int]:
        return {"number": number}

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_bytes(await websocket.receive_bytes())
        await websocket.close(4000, "enough")

    app.include_router(router)
    app.mount("/sub", Starlette(routes=[Route("/{x}", sub_page), Mount("/deep", app=opaque_asgi(log, directory))]))
    return app


def django_urls(log: Log, directory: Path, protocol: str) -> list[Any]:
    def events() -> Iterator[str]:
        for number in range(3):
            log.append(f"made {number}")
            yield f"data: {number}\n\n"

    async def async_events() -> AsyncIterator[str]:
        for event in events():
            yield event

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        response = StreamingHttpResponse(async_events() if protocol == "asgi" else events(), content_type="text/event-stream")
        response._resource_closers.append(lambda: log.append("in the background"))
        return response

    def upload(request: HttpRequest) -> HttpResponse:
        size = 0
        while piece := request.read(65536):
            size += len(piece)
        return HttpResponse(str(size))

    def file(request: HttpRequest) -> DjangoFileResponse:
        return DjangoFileResponse((directory / "file.bin").open("rb"))

    def cookies(request: HttpRequest) -> HttpResponse:
        response = HttpResponse("x")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    def missing(request: HttpRequest) -> HttpResponse:
        raise Http404

    def crash(request: HttpRequest) -> HttpResponse:
        raise Odd

    class Numbered(View):
        def get(self, request: HttpRequest, number: int) -> HttpResponse:
            return HttpResponse(str(number))

    return [
        path("stream", stream),
        path("upload", upload),
        path("file", file),
        path("cookies", cookies),
        path("teapot", missing),
        path("crash", crash),
        path("slash/", cookies),
        path("part/", include([path("<int:number>", Numbered.as_view())])),
    ]


DJANGO_HANDLERS = {"wsgi": WSGIHandler, "asgi": ASGIHandler}
