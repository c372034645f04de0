"""Hostile bodies: each is a 4xx within a second of CPU and 64 MB of added memory, and the app is not called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import CASES

HERE = Path(__file__).parent
ENGINES = ["with the extra", "without the extra"]


@pytest.fixture(scope="module", params=ENGINES)
def outcomes(request):
    """What came of every case, measured in children of a process of its own."""
    hide = "import sys; sys.modules['jsonschema_rs'] = sys.modules['orjson'] = None; " if request.param == ENGINES[1] else ""
    protocol = "asgi" if hide else "wsgi"
    run = f"{hide}import sys, runpy; sys.argv = ['hostile', '{protocol}', {str(HERE.parent.parent)!r}]; "
    code = f"{run}runpy.run_path({str(HERE / 'hostile.py')!r}, run_name='__main__')"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # which takes time of its own
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=bare)
    assert done.returncode == 0, done.stderr
    return {outcome["name"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


def test_there_are_enough():
    assert len(CASES) >= 50


@pytest.mark.parametrize("name", CASES)
def test_hostile_body(outcomes, name):
    outcome = outcomes[name]
    assert 400 <= outcome["status"] < 500
    assert not outcome["called"]
    assert outcome["seconds"] < 1.0
    assert outcome["added"] < 64 * 2**20
    assert outcome["size"] < 30_000
