"""Tags: what a spec writes and what a view names."""

from __future__ import annotations

import pytest

from gatekeep import Route, Throttle, current
from gatekeep.components.cache.tags import parameters, tag_maker, unknown_parameter


class Exchange:
    def __init__(self, params=(), tags=()):
        self.path_params = dict(params)
        self.tags = frozenset(tags)


def test_a_tag_is_written_with_path_parameters():
    make = tag_maker(["orders", "order:{order_id}", "{kind}/{order_id}"])
    assert make(Exchange({"order_id": 42, "kind": "x{y}"})) == {"orders", "order:42", "x{y}/42"}


def test_a_parameter_that_the_path_lacks_leaves_its_tag_out():
    assert tag_maker(["orders", "order:{order_id}"])(Exchange()) == {"orders"}


def test_what_the_view_names_is_added():
    assert tag_maker([]) is None
    assert tag_maker(["b"])(Exchange(tags=["a"])) == {"a", "b"}
    assert tag_maker(["{x}"])(Exchange({"x": "c"}, tags=["a"])) == {"a", "c"}


@pytest.mark.parametrize("tag", ["", "a{", "a}b", "{}", "{a:int}", "{a-b}"])
def test_stray_braces_are_a_mistake(tag):
    with pytest.raises(ValueError, match="no tag"):
        parameters(tag)


@pytest.mark.parametrize(
    ("template", "level", "unknown"),
    [
        ("/orders/{id}", "view:x", "order_id"),
        ("/orders/{order_id:int}", "view:x", None),
        ("/orders/1", "route:/orders/{order_id}", None),
        ("/orders/1", "route:/orders", "order_id"),
        ("/orders/1", "gateway", None),
    ],
)
def test_a_parameter_that_no_path_of_the_spec_has_is_found(template, level, unknown):
    assert unknown_parameter(["orders", "order:{order_id}"], template, level) == unknown


def test_a_view_tags_its_answer(site):
    found = []

    def view(request):
        current().tag("a", "b")
        current().tag("b", "c")
        found.append(current().tags)
        with pytest.raises(TypeError):
            current().tag(7)
        return 200, [], b"ok"

    client = site(view=view, routes=[Route("/x", Throttle("100/s"))])
    assert client.get("/x").status == 200
    assert found == [{"a", "b", "c"}]


def test_an_answer_has_no_tags_of_its_own(site):
    found = []

    def view(request):
        found.append(current().tags)
        return 200, [], b"ok"

    client = site(view=view, routes=[Route("/x", Throttle("100/s"))])
    client.get("/x")
    assert found == [frozenset()]
