"""Stages: several apps, or several settings of one app, under one gateway."""

from .component import StageRouter
from .spec import Stage

__all__ = ["Stage", "StageRouter"]
