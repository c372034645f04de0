"""Ports for servers that tests start."""

from __future__ import annotations

import atexit
import socket
import sys

_reserved: list[socket.socket] = []


def free_port() -> int:
    """A port of 127.0.0.1 that nobody else is given before a server of ours listens there."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: Linux lets two bind, and one listen
    reserved.bind(("127.0.0.1", 0))
    port = int(reserved.getsockname()[1])
    if sys.platform == "linux":
        _reserved.append(reserved)
    else:
        reserved.close()
    return port


@atexit.register
def _give_back() -> None:
    for reserved in _reserved:
        reserved.close()
