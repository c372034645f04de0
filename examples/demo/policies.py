"""Policies: the gateway of the demo, and the policies that its three apps share."""

from __future__ import annotations

from gatekeep import Authorize, Cors, Gateway, Observe, Stage, Throttle, Transform, map_body, set_header

from .console import Console
from .issuer import Issuer

__all__ = ["ENVELOPE", "ORDER", "build"]

ORDER = {
    "type": "object",
    "required": ["item", "quantity"],
    "properties": {
        "item": {"type": "string", "minLength": 1, "maxLength": 80},
        "quantity": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "additionalProperties": False,
}

ENVELOPE = Transform(
    response=[
        set_header("X-Warehouse", "${stage.variables.warehouse}"),
        map_body({"order": "${body}", "read_by": "${principal.id}"}),
    ]
)


def build(issuer: Issuer, console: Console) -> Gateway:
    """A gateway with the defaults of every route, and two stages of the same app."""
    return Gateway(
        Observe(access_log="json", tracer_provider=console.tracer_provider, meter_provider=console.meter_provider),
        Cors(allow_origins=["https://shop.example.com"], allow_headers=["authorization"]),
        Throttle("100/second", by="ip"),
        Authorize(issuer.verifier()),
        stages=[
            Stage("live", path="/live", variables={"warehouse": "north"}),
            Stage("trial", Throttle("30/minute", burst=5), path="/trial", variables={"warehouse": "toy"}),
        ],
    )
