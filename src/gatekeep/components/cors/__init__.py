"""Cors: cross-origin sharing (the Fetch standard's CORS protocol)."""

from .component import CorsResponder
from .spec import Cors

__all__ = ["Cors", "CorsResponder"]
