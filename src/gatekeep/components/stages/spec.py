"""Stage: an app under a base path, host or header, with variables and specs of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from ...component import Spec, caller, check_specs
from ...errors import ConfigurationError
from ...headers import is_pair

__all__ = ["Stage"]

_NAME = re.compile(r"[A-Za-z0-9_$-]{1,128}")
_HOST = re.compile(r"(\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\]")


class Stage:
    """One deployment behind the gateway, picked by all of the selectors it names; one that names none takes what is left.

    `path` is a base path ("/v1"), taken off the path that the app sees (it moves to root_path or SCRIPT_NAME). `host` is a
    Host without port, or "*.example.com". `header` is a (name, value) pair. `app` None means the app that the gateway wraps.
    """

    as_spec: ClassVar[str] = "stages=[{}(...)]"

    def __init__(
        self,
        name: str,
        *specs: Spec,
        app: Any = None,
        path: str = "",
        host: str | None = None,
        header: tuple[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.origin = caller()
        if header is not None and not is_pair(header):
            raise self._mistake(f"header={header!r} is no field with its value", fix='such as ("x-canary", "yes")')
        self.name = name
        self.specs = specs
        self.app = app
        self.path = path.rstrip("/")
        self.host = host.lower() if host is not None else None
        self.header = (header[0].lower(), header[1]) if header is not None else None
        self.variables: Mapping[str, str] = MappingProxyType(dict(variables or {}))
        if not _NAME.fullmatch(name):
            raise self._mistake(f"{name!r} is not a stage name", fix="letters, digits, _, - and $")
        if self.path and (not self.path.startswith("/") or "//" in self.path or "{" in self.path):
            raise self._mistake(f"path={path!r} is not a base path", fix='such as "/v1"')
        if self.host is not None and not _HOST.fullmatch(self.host):
            fix = 'such as "api.example.com" or "*.example.com", without a port'
            raise self._mistake(f"host={host!r} is not a host", fix=fix)
        check_specs(specs, "Stage(name, *specs)", self.origin)
        for key, value in self.variables.items():
            if not isinstance(value, str):
                raise self._mistake(f"the variable {key!r} is not a string")

    @property
    def takes_all(self) -> bool:
        """Whether it names no selector."""
        return not self.path and self.host is None and self.header is None

    def _mistake(self, message: str, fix: str = "") -> ConfigurationError:
        return ConfigurationError(f"Stage: {message}", origin=self.origin, fix=fix)

    def __repr__(self) -> str:
        return f"Stage({self.name!r})"
