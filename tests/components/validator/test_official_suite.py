"""The official JSON-Schema-Test-Suite, every required case, sent as a body through Validate, with both engines."""

from __future__ import annotations

import json
import sys

import pytest

import json_schema_suite as suite
import opaque
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.components.validator import Validate
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.stores import open_store
from gatekeep.testing import Client

STORE = open_store("memory://", SYSTEM_CLOCK)
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def remotes():
    return suite.remotes()


@pytest.fixture(params=["fast", "reference"])
def engine(request, monkeypatch):
    if request.param == "reference":
        monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    return request.param


@pytest.mark.parametrize("draft", suite.FOLDERS)
def test_required_cases(draft, engine, remotes):
    count = fast = 0
    cases = [(name, case) for name, several in suite.files(draft) for case in several]
    for start in range(0, len(cases), 50):
        some = cases[start : start + 50]
        specs = [Validate(body=case["schema"], draft=draft, schemas=remotes) for _, case in some]
        gateway = Gateway(routes=[Route(f"/{number}", spec) for number, spec in enumerate(specs)], store=STORE)
        with Client(gateway.wrap(opaque.wsgi_app(lambda request: (200, [], b"ok")))) as client:
            for number, (name, case) in enumerate(some):
                for test in case["tests"]:
                    answer = client.post(f"/{number}", headers=JSON, body=json.dumps(test["data"]).encode())
                    wanted = 200 if test["valid"] else 400
                    assert answer.status == wanted, (name, case["description"], test["description"], answer.body)
                    count += 1
        fast += sum(spec.rules.body._readers["application/json"]._schema._fast is not None for spec in specs)
    assert count > 500
    assert (fast > 100) == (engine == "fast")
