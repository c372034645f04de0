"""Run as a script: send hostile bodies through a gateway, each in a child of its own; prints what came of it, its CPU seconds
and the memory that it added.

A module of cases has CASES, by name (content type, other header fields, what makes the body), SPECS, the policies, and GOOD, a
content type and a body that pass.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Cases: TypeAlias = dict[str, tuple[str, dict[str, str], Callable[[], bytes]]]
HERE = Path(__file__).parent


def outcomes(cases: str, *, protocol: str, hidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """What came of every case of the module at this path, with these packages hidden."""
    hide = "".join(f"sys.modules[{name!r}] = None; " for name in hidden)
    code = f"import sys, runpy; {hide}sys.argv = ['hostile', {protocol!r}, {cases!r}]; "
    code += f"runpy.run_path({__file__!r}, run_name='__main__')"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # which takes time of its own
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=bare)
    assert done.returncode == 0, done.stderr
    return {outcome["name"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


def judge(outcome: dict[str, Any]) -> None:
    """A 4xx within a second of CPU and 64 MB of added memory, and the app was not called."""
    from pace import allowed

    assert 400 <= outcome["status"] < 500
    assert not outcome["called"]
    assert allowed(1.0, outcome["seconds"])
    assert outcome["added"] < 64 * 2**20
    assert outcome["size"] < 30_000


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(protocol: str, path: str) -> None:
    sys.path.insert(0, str(HERE))
    import opaque
    from gatekeep import Gateway
    from gatekeep.testing import Client

    found = importlib.util.spec_from_file_location("cases", path)
    assert found is not None
    assert found.loader is not None
    cases = importlib.util.module_from_spec(found)
    found.loader.exec_module(cases)
    called: list[object] = []

    def view(request: object) -> tuple[int, list[tuple[str, str]], bytes]:
        called.append(request)
        return 200, [], b"ok"

    app = opaque.wsgi_app(view) if protocol == "wsgi" else opaque.asgi_app(view)
    client = Client(Gateway(*cases.SPECS).wrap(app))
    content_type, body = cases.GOOD
    assert client.post("/", headers={"content-type": content_type}, body=body).status == 200
    called.clear()
    for name, (content_type, fields, make) in cases.CASES.items():
        body = make()
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        before, most, done = _resident(), [0], threading.Event()

        def watch(most: list[int] = most, done: threading.Event = done) -> None:
            while not done.wait(0.002):
                most[0] = max(most[0], _resident())

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.process_time()
        answer = client.post("/", headers={"content-type": content_type, **fields}, body=body)
        seconds = time.process_time() - start
        done.set()
        watcher.join()
        added = max(most[0], _resident(), 0) - before
        told = {"name": name, "status": answer.status, "called": bool(called), "seconds": seconds, "added": added}
        print(json.dumps(told | {"size": len(answer.body)}))
        sys.stdout.flush()
        os._exit(0)
    client.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
