"""AWS headers: what API Gateway makes of fields of an answer that are about the connection to whoever gave it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html, and what was recorded of it.
"""

from __future__ import annotations

__all__ = ["DROPPED", "answer_header"]

_REMAPPED = frozenset(
    {
        *("authorization", "connection", "content-length", "content-md5", "date", "expect", "host", "max-forwards"),
        *("proxy-authenticate", "server", "trailer", "upgrade", "user-agent", "www-authenticate"),
    }
)
_NEVER = frozenset({"transfer-encoding", "x-amzn-apigateway-api-id", "x-amzn-trace-id"})

DROPPED = _NEVER | {"content-length", "expect", "host", "proxy-authenticate", "te", "trailer", "upgrade", "via"}
"""What a Lambda function can't say in an answer, in lower case."""


def answer_header(name: str) -> str:
    """The name under which a field reaches the client that a REST API maps to this one.

    Raises ValueError for what AWS says itself, or never.
    """
    if name.lower() in _NEVER:
        raise ValueError(f"{name} of an answer is not for a mapping to say")
    return f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name
