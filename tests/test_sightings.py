"""What came before is known of late; what came once leaves nothing that the garbage collector walks."""

from __future__ import annotations

import gc

from gatekeep.components.ip_rules import IPRules
from gatekeep.routing import Route
from gatekeep.sightings import Sightings


def test_a_key_that_comes_again_did_come_before():
    sightings = Sightings(100)
    assert [sightings.again(key) for key in (("a", "GET"), ("b", "GET"), ("a", "GET"), ("a", "POST"))] == [
        False,
        False,
        True,
        False,
    ]


def test_it_forgets_rather_than_grow():
    sightings = Sightings(10)
    assert not any(sightings.again(number) for number in range(10_000))
    assert sum(sightings.again(number) for number in range(10_000)) <= 10


def test_paths_that_come_once_are_not_kept(site):
    client = site(routes=[Route("/orders/{id}", IPRules(deny=["10.0.0.0/8"]))])
    for number in range(50):
        client.get(f"/orders/{number}")
    gc.collect()
    before = len(gc.get_objects())
    for number in range(50, 1050):
        assert client.get(f"/orders/{number}").status == 200
    gc.collect()
    assert len(gc.get_objects()) - before < 200


def test_paths_that_come_often_are_kept_but_no_more_than_so_many(site, monkeypatch):
    monkeypatch.setattr("gatekeep.site._MEMO", 8)
    client = site(routes=[Route("/orders/{id}", IPRules(deny=["10.0.0.0/8"]))])
    for number in range(40):
        for _ in range(3):
            assert client.get(f"/orders/{number}").status == 200
    (front,) = client.gateway._fronts
    assert len(front.sole.known) == len(front.sole._memo) == 8
