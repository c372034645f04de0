"""Werkzeug's server with TLS in front of tls_app, on the port that the command line says."""

from __future__ import annotations

import ssl
import sys

from werkzeug.serving import run_simple

from components.authorizer.tls_app import application

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile="ca.pem")
context.load_cert_chain("server.pem", "server.key")
context.verify_mode = ssl.CERT_OPTIONAL
run_simple("127.0.0.1", int(sys.argv[1]), application, ssl_context=context)
