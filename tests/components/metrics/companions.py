"""What stands beside telemetry in tests: another instrumentation around the gateway, a component that rewrites paths."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace

from gatekeep.component import Component, Hooks, Plan, Spec

CALLER = f"00-{'a' * 32}-{'b' * 16}-01"
"""The traceparent of a caller that records."""


def get_below(span: trace.Span, client: Any) -> None:
    """GET /a while `span` is current where the gateway runs, as below another instrumentation; the caller has a span, too."""
    around = client.app

    if client.protocol == "wsgi":

        def app(environ: Any, start_response: Any) -> Any:
            with trace.use_span(span):
                body = around(environ, start_response)
                chunks = list(body)
                body.close()
                return chunks

        client.app = app
    else:

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            with trace.use_span(span):
                await around(scope, receive, send)

        client.app = asgi
    client.get("/a", headers={"traceparent": CALLER})


class Rewrite(Spec):
    """Sends what is asked of /old to /new."""


class Rewriter(Component):
    spec = Rewrite
    repeats = False

    def bind(self, plan: Plan) -> Hooks | None:
        def on_request(exchange: Any) -> None:
            exchange.forward().path = "/new"

        return Hooks(on_request=on_request) if plan.template == "/old" else None
