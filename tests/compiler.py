"""Runs a command that compiles C: with the machine's compiler, else with the one that PyPI has as a wheel.

    python tests/compiler.py COMMAND ARGUMENT…
    python tests/compiler.py                        (says only whether Python's headers are there)

In a process of its own, and only where it is needed: the wheel is large.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

KNOWN = ("cc", "gcc", "clang")
WHEEL = "ziglang"


def main(command: list[str]) -> None:
    missing = headers_missing()
    if missing or not command:
        sys.exit(missing or 0)
    sys.exit(subprocess.run(command, env={**os.environ, **compiler()}, check=False).returncode)


def headers_missing() -> str:
    """What to do where Python's own headers are not installed; empty where they are."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    if header.exists():
        return ""
    version = "{}.{}".format(*sys.version_info)
    return (
        f"The compiled build needs Python's headers, and {header} does not exist. They come in the package python{version}-dev "
        f"(Debian, Ubuntu) or python{version}-devel (Fedora), and with interpreters of pyenv, uv, python.org and Docker's image."
    )


def compiler() -> dict[str, str]:
    """The environment in which setuptools finds a compiler. On Windows it looks for Microsoft's itself."""
    own = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if os.name == "nt" or shutil.which(shlex.split(own)[0]):
        return {}
    for name in KNOWN:
        if shutil.which(name):
            return {"CC": name}
    print(f"no C compiler is on the PATH ({', '.join(KNOWN)}): installing {WHEEL} into {sys.prefix}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", WHEEL], check=True)
    return {"CC": f"{shlex.quote(sys.executable)} -m ziglang cc"}


if __name__ == "__main__":
    main(sys.argv[1:])
