"""The official JSON-Schema-Test-Suite, out of jsonschema's source distribution, put beside the installed packages."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(sys.prefix) / "share" / f"json-schema-suite-{version('jsonschema')}"
"""One for each version, in the environment that the tests run in."""
FOLDERS = {"4": "draft4", "6": "draft6", "7": "draft7", "2019-09": "draft2019-09", "2020-12": "draft2020-12"}


def fetch() -> Path:
    """The suite's folder; taken from the package index on first use, as the packages were."""
    if not FOLDER.exists():
        with tempfile.TemporaryDirectory() as place:
            command = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", "jsonschema"]
            wanted = f"jsonschema=={version('jsonschema')}"
            subprocess.run([sys.executable, "-m", "pip", *command, "--dest", place, wanted], check=True)
            [archive] = Path(place).glob("jsonschema-*.tar.gz")
            with tarfile.open(archive) as files:
                files.extractall(place, filter="data")
            [suite] = Path(place).glob("jsonschema-*/json")
            FOLDER.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(dir=FOLDER.parent))
            for part in ("tests", "remotes"):
                (suite / part).rename(made / part)
            made.rename(FOLDER)
    return FOLDER


def remotes() -> dict[str, Any]:
    """The documents that the suite's references lead to, by URI."""
    folder = fetch() / "remotes"
    return {
        f"http://localhost:1234/{path.relative_to(folder).as_posix()}": json.loads(path.read_text("utf-8"))
        for path in folder.rglob("*.json")
    }


def files(draft: str) -> Iterator[tuple[str, list[Any]]]:
    """The required cases of a draft, by file."""
    for path in sorted((fetch() / "tests" / FOLDERS[draft]).glob("*.json")):
        yield path.stem, json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    fetch()
