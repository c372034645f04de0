"""The app that test_mutual_tls.py puts behind a real TLS server; who may call is said in MUTUAL_TLS_NAMES."""

from __future__ import annotations

import os
from typing import Any

from gatekeep.components.authorizer import Authorize
from gatekeep.components.authorizer.mutual_tls import MutualTLS
from gatekeep.gateway import Gateway


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_USER"].encode("latin-1")]


application = Gateway(Authorize(MutualTLS(names={os.environ["MUTUAL_TLS_NAMES"]: "acme"}))).wrap(app)
