"""The shop that every framework builds in its own way: the policies, the gateway, the tokens, and what its views say.

One value is one policy, whatever view it stands on; so each framework's shop has the same ones, and one test body fits all.
"""

from __future__ import annotations

import logging
import os
from itertools import count
from typing import Any
from uuid import uuid4

from components.authorizer.minting import AUDIENCE, ISSUER, jwk, mint
from gatekeep import (
    JWT,
    Authorize,
    Cache,
    Cors,
    Gateway,
    Observe,
    Route,
    Stage,
    Throttle,
    Transform,
    Validate,
    current,
    map_body,
    remove_header,
    set_header,
    set_query,
)

ORIGIN = "https://shop.example.com"
FOREVER = 4_000_000_000
"""An expiry that neither the system's clock nor a FakeClock has reached."""

# What stands on views.

PUBLIC = Authorize.off()
READERS = Authorize(scopes={"orders:read"})
BY_ADDRESS = Throttle("3/hour", by="ip")
BY_CALLER = Throttle("2/hour")
WATCHED = Throttle("1/hour", mode="report")
ORDER = Validate(
    body={
        "type": "object",
        "required": ["item", "amount"],
        "properties": {"item": {"type": "string"}, "amount": {"type": "integer", "minimum": 1}},
    }
)
PAGE = Validate(query={"limit": {"type": "integer", "maximum": 100}})
RELAYED = Transform(
    request=[set_header("x-region", "eu"), set_header("x-caller", "${principal.id}"), set_query("limit", "5")],
    response=[map_body({"wrapped": "${body}"}), set_header("x-for", "${principal.id}"), remove_header("x-internal")],
)
KEPT = Cache(ttl=60)


def gateway(**options: Any) -> Gateway:
    """The shop's gateway: tokens everywhere, CORS, an access log, two stages, and a policy over paths."""
    return Gateway(
        Authorize(JWT(issuer=ISSUER, audience=AUDIENCE, keys={"keys": [jwk("secret")]})),
        Cors(allow_origins=[ORIGIN], allow_headers=["authorization"], expose_headers=["retry-after"]),
        Observe(access_log="json", trace=False, metrics=False),
        routes=[Route("/vault/{rest:path}", Authorize(scopes={"vault"}))],
        stages=[
            Stage("live", variables={"warehouse": "main"}),
            Stage("trial", Throttle("1/hour"), path="/trial", variables={"warehouse": "toy"}),
        ],
        **options,
    )


def bearer(caller: str | None = None, *scopes: str, **claims: Any) -> dict[str, str]:
    """The headers of a caller, a new one when none is named: what one test uses up is not missing in another."""
    changes = {"sub": caller or str(uuid4()), "scope": " ".join(scopes), "exp": FOREVER, "iat": None, **claims}
    return {"authorization": f"Bearer {mint('secret', 'HS256', **changes)}"}


# What views say.

runs = count(1)
"""Numbers every run of a view whose answers are kept."""


def who() -> dict[str, Any]:
    exchange = current()
    return {
        "caller": exchange.principal.id,
        "route": exchange.route,
        "stage": exchange.stage,
        "warehouse": exchange.variables["warehouse"],
    }


def run() -> dict[str, Any]:
    return {"caller": current().principal.id, "run": next(runs)}


def log_to(path: str) -> None:
    """Write the access log to a file, for a test in another process."""
    logger = logging.getLogger("gatekeep.access")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.FileHandler(os.path.abspath(path), encoding="utf-8"))
