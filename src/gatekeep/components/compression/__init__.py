"""Compression: answers in an encoding that the client takes."""

from .component import Compressor
from .spec import Compress

__all__ = ["Compress", "Compressor"]
