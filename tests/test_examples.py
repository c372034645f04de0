"""The README's examples and the apps in examples/, run as their users will: `fastapi run`, `flask run`, test clients, servers."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from servers import ROOT, free_port, get, serving

README = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL))
README_KEY = {"X-Api-Key": "change-me-0123456789"}
READER = {"X-Api-Key": "reader-key-0123456789"}
CLERK = {"X-Api-Key": "clerk-key-9876543210"}

# How each app is served: the module and its arguments, the port comes last.
SERVERS = {
    "fastapi_app": [
        ("fastapi", "run", "fastapi_app.py", "--host", "127.0.0.1", "--port"),
        ("uvicorn", "--log-level", "warning", "fastapi_app:app", "--port"),
    ],
    "flask_app": [
        ("flask", "--app", "flask_app", "run", "--port"),
        ("gunicorn", "--threads", "4", "flask_app:create_app()", "--bind=127.0.0.1:"),
    ],
    "django_app": [
        ("uvicorn", "--log-level", "warning", "django_app:application", "--port"),
        ("gunicorn", "--threads", "4", "django_app:wsgi_application", "--bind=127.0.0.1:"),
    ],
}


def command(server: tuple[str, ...], port: int) -> list[str]:
    *front, last = server
    return [*front, f"{last}{port}"] if last.endswith(":") else [*front, last, str(port)]


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's examples as files."""
    folder = tmp_path_factory.mktemp("readme")
    for name, code in README.items():
        (folder / name).write_text(code, "utf-8")
    return folder


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic looks annotations up there
    spec.loader.exec_module(module)
    return module


def the_readme_holds_on(port: int) -> None:
    refused = get(port, "/orders/7")
    assert (refused.status, refused.headers["content-type"]) == (401, "application/problem+json")
    assert get(port, "/orders/7", README_KEY).headers["cache-status"] == "gatekeep; fwd=miss; stored"
    # A server's thread may keep its copy a moment after the client has the answer: the next request or the one after hits.
    later = [get(port, "/orders/7", README_KEY) for _ in range(5)]
    assert {answer.status for answer in later} == {200}
    assert any(answer.headers["cache-status"].startswith("gatekeep; hit") for answer in later)
    assert all('"principal";q=20' in answer.headers["ratelimit-policy"] for answer in later)


class TestReadme:
    def test_fastapi_run(self, readme: Path) -> None:
        port = free_port()
        with serving("fastapi", "run", "main.py", "--host", "127.0.0.1", "--port", str(port), port=port, cwd=readme):
            the_readme_holds_on(port)

    def test_flask_run(self, readme: Path) -> None:
        port = free_port()
        with serving("flask", "run", "--port", str(port), port=port, cwd=readme):
            the_readme_holds_on(port)

    def test_fastapi_test_client(self, readme: Path) -> None:
        with TestClient(load(readme / "main.py").app) as client:
            assert client.get("/orders/7").status_code == 401
            assert client.get("/orders/7", headers=README_KEY).json() == {"id": 7}
            assert "age" in client.get("/orders/7", headers=README_KEY).headers

    def test_flask_test_client(self, readme: Path) -> None:
        client = load(readme / "app.py").app.test_client()
        assert client.get("/orders/7").status_code == 401
        assert client.get("/orders/7", headers=README_KEY).json == {"id": 7}
        assert "age" in client.get("/orders/7", headers=README_KEY).headers

    def test_is_short(self) -> None:
        """Ten lines wrap an app; blank ones and imports not counted."""
        for code in README.values():
            lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("from ", "import "))]
            assert len(lines) <= 10


@pytest.mark.parametrize(("app", "server"), [(app, server) for app, servers in SERVERS.items() for server in servers])
def test_an_example_serves(app: str, server: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / f"{app}.py").write_bytes((ROOT / "examples" / f"{app}.py").read_bytes())
    port = free_port()
    with serving(*command(server, port), port=port, cwd=tmp_path):
        assert get(port, "/health").status == 200
        assert get(port, "/books/1").status == 401
        found = get(port, "/books/1", READER)
        assert (found.status, found.headers["cache-status"]) == (200, "gatekeep; fwd=miss; stored")
        assert get(port, "/books/2", READER).status == 404


def test_the_fastapi_example() -> None:
    with TestClient(load(ROOT / "examples" / "fastapi_app.py").app) as client:
        assert client.post("/books", json={"title": "Kindred"}, headers=READER).status_code == 403
        added = client.post("/books", json={"title": "Kindred"}, headers=CLERK)
        assert (added.status_code, added.json()) == (201, {"title": "Kindred", "added_by": "clerk"})


def test_the_flask_example() -> None:
    client = load(ROOT / "examples" / "flask_app.py").create_app().test_client()
    assert client.post("/books", json={"title": "Kindred"}, headers=READER).status_code == 403
    assert client.post("/books", json={}, headers=CLERK).json["errors"][0]["pointer"] == "/title"
    added = client.post("/books", json={"title": "Kindred"}, headers=CLERK)
    assert (added.status_code, added.json) == (201, {"title": "Kindred", "added_by": "clerk"})


def test_the_django_example() -> None:
    """In a process of its own: settings can be configured only once."""
    code = (
        "from django_app import application; from django.test import Client; client = Client();"
        f"key = {CLERK!r};"
        "refused = client.post('/books', {}, content_type='application/json', headers=key);"
        "assert refused.json()['errors'][0]['pointer'] == '/title', refused.content;"
        "added = client.post('/books', {'title': 'Kindred'}, content_type='application/json', headers=key);"
        "assert (added.status_code, added.json()['added_by']) == (201, 'clerk'), added.content;"
        "assert client.get('/books/1').status_code == 401"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT / "examples", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
