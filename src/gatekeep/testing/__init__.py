"""For tests: of apps behind a gateway (kit.py), and of the gateway itself as an HTTP cache (cache_origin.py, a program)."""

from .kit import Answer, Client, FakeClock, call_asgi, call_wsgi, unguarded

__all__ = ["Answer", "Client", "FakeClock", "call_asgi", "call_wsgi", "unguarded"]
