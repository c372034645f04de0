"""uvicorn with TLS, and with the ASGI TLS extension that it lacks, in front of an app, on the port of the command line."""

from __future__ import annotations

import os
import ssl
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gatekeep.components.authorizer import Authorize
from gatekeep.components.authorizer.mutual_tls import MutualTLS
from gatekeep.gateway import Gateway


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["user"].id.encode()})


class TlsProtocol(H11Protocol):
    """Says in each scope which certificate its connection has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner = self.app

        async def with_tls(scope: Any, receive: Any, send: Any) -> None:
            der = self.transport.get_extra_info("ssl_object").getpeercert(True)
            chain = [ssl.DER_cert_to_PEM_cert(der)] if der else []
            tls = {"client_cert_chain": chain, "client_cert_name": None, "client_cert_error": None}
            await inner({**scope, "extensions": {**scope.get("extensions", {}), "tls": tls}}, receive, send)

        self.app = with_tls


application = Gateway(Authorize(MutualTLS(names={os.environ["MUTUAL_TLS_NAMES"]: "acme"}))).wrap(app)

if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http=TlsProtocol,
        lifespan="off",
        ssl_certfile="server.pem",
        ssl_keyfile="server.key",
        ssl_ca_certs="ca.pem",
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
    )
