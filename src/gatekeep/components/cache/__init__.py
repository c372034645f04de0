"""The response cache: answers of GET and HEAD kept for a while, apart for everyone who must not share them."""

from .component import ResponseCache
from .spec import Cache

__all__ = ["Cache", "ResponseCache"]
