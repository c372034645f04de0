"""Which build of gatekeep runs: the one whose hot modules are compiled, or the pure Python that they are compiled from."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES

from . import pipeline

__all__ = ["COMPILED"]

COMPILED: bool = str(pipeline.__file__).endswith(tuple(EXTENSION_SUFFIXES))
"""True where the kernel's modules are extension modules, made by mypyc. All of them are, or none."""
