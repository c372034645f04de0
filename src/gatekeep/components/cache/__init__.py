"""The response cache: answers of GET and HEAD kept for a while, apart for everyone who must not share them."""

from .component import ResponseCache
from .handle import CacheHandle
from .settings import CacheStorage
from .spec import Cache

__all__ = ["Cache", "CacheHandle", "CacheStorage", "ResponseCache"]
