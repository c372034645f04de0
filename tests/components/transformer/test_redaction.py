"""Redaction by path, of requests and answers."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.transformer import Transform, log_body, map_body, redact
from gatekeep.components.transformer.redaction import Redaction
from gatekeep.errors import ConfigurationError

JSON = [("content-type", "application/json")]
VALUE = {"customer": {"email": "a@b", "name": "Ann"}, "items": [{"card": 1, "sku": "a"}, {"card": 2}, 3], "tags": ["x", "y"]}


@pytest.mark.parametrize(
    ("path", "removed", "masked"),
    [
        ("customer.email", {"customer": {"name": "Ann"}}, {"customer": {"email": "*", "name": "Ann"}}),
        ("customer.*", {"customer": {}}, {"customer": {"email": "*", "name": "*"}}),
        ("items.*.card", {"items": [{"sku": "a"}, {}, 3]}, {"items": [{"card": "*", "sku": "a"}, {"card": "*"}, 3]}),
        ("tags.0", {"tags": ["y"]}, {"tags": ["*", "y"]}),
        ("tags.*", {"tags": []}, {"tags": ["*", "*"]}),
        ("tags.9", {}, {}),
        ("tags.-1", {}, {}),
        ("customer.email.deeper", {}, {}),
        ("none.a", {}, {}),
        ("**.card", {"items": [{"sku": "a"}, {}, 3]}, {"items": [{"card": "*", "sku": "a"}, {"card": "*"}, 3]}),
        ("items.**.sku", {"items": [{"card": 1}, {"card": 2}, 3]}, {"items": [{"card": 1, "sku": "*"}, {"card": 2}, 3]}),
        (
            "**.1",
            {"items": [{"card": 1, "sku": "a"}, 3], "tags": ["x"]},
            {"items": [VALUE["items"][0], "*", 3], "tags": ["x", "*"]},
        ),
    ],
)
def test_paths(path, removed, masked):
    assert Redaction.of([path], None)(copy.deepcopy(VALUE)) == {**VALUE, **removed}
    assert Redaction.of([path], "*")(copy.deepcopy(VALUE)) == {**VALUE, **masked}


@given(st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abs"), inner), max_leaves=20))
def test_nothing_is_left_where_a_path_leads(value):
    redacted = Redaction.of(["s", "*.s", "*.*.s"], None)(value)
    levels = [redacted]
    for _ in range(3):
        assert not any(isinstance(each, dict) and "s" in each for each in levels)
        levels = [
            member
            for each in levels
            if isinstance(each, (dict, list))
            for member in (each.values() if isinstance(each, dict) else each)
        ]


@given(st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abs"), inner), max_leaves=20))
def test_nothing_is_left_at_any_depth(value):
    redacted = json.dumps(Redaction.of(["**.s"], None)(copy.deepcopy(value)))
    assert '"s"' not in redacted
    masked = Redaction.of(["**.s"], "*")(copy.deepcopy(value))
    assert json.dumps(masked).count('"s": "*"') == json.dumps(masked).count('"s"')


@pytest.mark.parametrize("status", [200, 404, 500])
def test_answers_of_every_status(site, status):
    spec = Transform(response=[redact("secret", "items.*.card", mask="***"), map_body({"data": "$body"})])
    body = json.dumps({"secret": 1, "items": [{"card": 2}]}).encode()
    answer = site(spec, view=lambda request: (status, JSON, body)).get("/")
    hidden = {"secret": "***", "items": [{"card": "***"}]}
    assert answer.json() == ({"data": hidden} if status == 200 else hidden)
    assert answer.headers.get("content-length") == str(len(answer.body))
    assert not spec.reads_principal


def test_requests(site):
    got = []

    def view(request):
        got.append(json.loads(request.body))
        return 200, JSON, b"{}"

    client = site(Transform(request=[redact("role")]), view=view)
    client.post("/", headers=dict(JSON), body=b'{"role": "admin", "name": "Ann"}')
    assert got == [{"name": "Ann"}]


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (redact(), "no path"),
        (redact("a..b"), "not a path"),
        (redact(""), "not a path"),
        (redact(1), "not a path"),
        (redact("a.**"), "not a path"),
        (redact("**.a.**.b"), "not a path"),
        (redact("a", mask=1), "is not text"),
    ],
)
def test_mistakes(operation, reason):
    with pytest.raises(ConfigurationError, match=rf"test_redaction.py:.*{reason}"):
        Transform(response=[operation])


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("$.card.number", "card.number"),
        ("$.items[0].pin", "items.0.pin"),
        ("$['card']['number']", "card.number"),
        ("$..pin", "**.pin"),
        ("items[0].pin", "items.0.pin"),
        ("items[*].pin", "items.*.pin"),
        ("/card/number", "card.number"),
        ("#/items/0/pin", "items.0.pin"),
        ("${body.card.number}", "card.number"),
    ],
)
@pytest.mark.parametrize("make", [redact, log_body])
@pytest.mark.parametrize("side", ["request", "response"])
def test_a_path_of_another_notation_is_a_mistake_that_says_how_it_is_written_here(make, side, path, written):
    with pytest.raises(ConfigurationError) as caught:
        Transform(**{side: [make(path)]})
    assert f"{path!r} is not a path" in str(caught.value)
    assert f"write {written!r}" in str(caught.value)


@pytest.mark.parametrize("path", ["$", "$.items[?(@.pin)].pin", "items[0:2].pin", "$['a.b']", "$.a..", "/a//b"])
def test_a_path_that_cannot_be_written_here_is_a_mistake_without_advice(path):
    with pytest.raises(ConfigurationError, match="is not a path") as caught:
        Transform(response=[redact(path)])
    assert "write" not in str(caught.value)


def test_member_names_may_hold_the_marks_of_other_notations(site):
    view = lambda request: (200, JSON, b'{"$id": 1, "a/b": 2, "c": 3}')  # noqa: E731
    assert site(Transform(response=[redact("$id", "a/b")]), view=view).get("/").json() == {"c": 3}
