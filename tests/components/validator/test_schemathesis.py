"""The two examples that share an OpenAPI file, against what schemathesis makes of that file: valid requests and broken ones."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

EXAMPLES = Path(__file__).parents[3] / "examples"
PATH = EXAMPLES / "bookings.yaml"
OPERATIONS = ["GET /rooms/{room}/bookings", "POST /rooms/{room}/bookings", "GET /bookings/{number}"]


def _load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture(scope="module")
def documents():
    """The document, once for each app."""
    found = []
    for name in ("bookings_fastapi", "bookings_flask"):
        document = schemathesis.openapi.from_path(PATH)
        document.app = _load(name)
        found.append(document)
    return found


def test_every_operation_is_tested(documents):
    assert sorted(result.ok().label for result in documents[0].get_all_operations()) == sorted(OPERATIONS)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_crash_no_undocumented_status_and_the_same_from_both(documents, label, mode):
    fastapi, flask = [
        next(each.ok() for each in document.get_all_operations() if each.ok().label == label) for document in documents
    ]
    statuses = Counter()

    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(fastapi.as_strategy(generation_mode=mode))
    def check(case):
        answer = case.call()
        # Neither crashes, undocumented statuses and types, nor valid data refused, nor invalid data taken.
        case.validate_response(answer)
        case.operation = flask
        other = case.call()
        case.validate_response(other)
        assert answer.status_code == other.status_code
        statuses[answer.status_code] += 1

    check()
    assert (400 in statuses) == (mode is GenerationMode.NEGATIVE)
