"""API keys as they are issued and kept: KeyRing, and the stores that it keeps them in."""

from .record import KeyRecord, KeySecret
from .ring import IssuedKey, KeyRing
from .store import KeyStore, MemoryKeys

__all__ = ["IssuedKey", "KeyRecord", "KeyRing", "KeySecret", "KeyStore", "MemoryKeys"]
