"""Mistakes in what Gateway(...) is given: each names its line, what is wrong and the fix."""

from __future__ import annotations

import re

import pytest

from gatekeep import ApiKey, Authorize, Gateway, IPRules, KeyRing, MutualTLS, Route, Stage, Throttle, all_of, any_of
from gatekeep.component import Component
from gatekeep.components import STANDARD
from gatekeep.errors import ConfigurationError

HERE = re.escape(__file__) + r":\d+: "
KEYS = ApiKey(KeyRing("memory://"))
CERTIFICATES = MutualTLS(names=["dns:a.example"])


def mistake(*specs, **settings):
    with pytest.raises(ConfigurationError) as caught:
        Gateway(*specs, **settings)
    message = str(caught.value)
    assert re.match(HERE, message), message
    return message


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        (KEYS, "(Authorize(ApiKey(...)))"),
        (ApiKey, "(Authorize(ApiKey(...)))"),
        (any_of(KEYS, CERTIFICATES), "(Authorize(any_of(...)))"),
        (all_of(KEYS, CERTIFICATES), "(Authorize(all_of(...)))"),
        ([Throttle("1/s")], "*specs)"),
        ((Throttle("1/s"),), "*specs)"),
        (Throttle, "(Throttle(...))"),
        (Authorize, "(Authorize(...))"),
        (Stage("v1"), "(stages=[Stage(...)])"),
        (Route("/x"), "(routes=[Route(...)])"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "call", [Gateway, lambda spec: Route("/x", spec), lambda spec: Stage("v1", spec)], ids=["gateway", "route", "stage"]
)
def test_what_is_no_spec_names_what_was_meant(call, given, fix):
    with pytest.raises(ConfigurationError, match="is not a spec") as caught:
        call(given)
    assert caught.value.origin.file == __file__
    assert fix in str(caught.value)


def test_specs_in_a_list_are_told_how_they_are_given():
    specs = [Throttle("1/s")]
    for call, fix in (
        (lambda: Gateway(specs), "Gateway(*specs)"),
        (lambda: Route("/x", specs), "Route(path, *specs)"),
        (lambda: Stage("v1", specs), "Stage(name, *specs)"),
    ):
        with pytest.raises(ConfigurationError, match=re.escape(fix)):
            call()


def test_what_may_be_anything_is_named_without_a_fix():
    assert mistake(object()).endswith("is not a spec")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"order": ["x"]}, "order: 'x' is no component's class (classes of components, such as those of STANDARD)"),
        ({"order": [Component]}, "order: <class 'gatekeep.component.Component'> is no component's class"),
        ({"order": [IPRules]}, "is no component's class"),
        ({"order": STANDARD[0]}, "is not a list"),
        ({"order": "STANDARD"}, "order='STANDARD' is not a list"),
        ({"max_body": "10MB"}, "max_body='10MB' is not a positive number of bytes (max_body=10 * 1024 * 1024)"),
        ({"max_body": None}, "max_body=None is not"),
        ({"max_body": 0}, "max_body=0 is not"),
        ({"max_body": True}, "max_body=True is not"),
        ({"max_body": float("nan")}, "max_body=nan is not"),
        ({"max_stream": "1GB"}, "max_stream='1GB' is not a positive number of bytes"),
        ({"max_stream": 0}, "max_stream=0 is not"),
        ({"routes": Route("/x")}, "is not a list (routes=[Route(...)])"),
        ({"routes": [IPRules(deny=["192.0.2.1"])]}, "is not a Route"),
        ({"routes": "/x"}, "routes='/x' is not a list (routes=[Route(...)])"),
        ({"stages": Stage("v1")}, "is not a list (stages=[Stage(...)])"),
        ({"stages": [Route("/x")]}, "is not a Stage"),
        ({"stages": [Stage("v1", path="/a"), Stage("v1", path="/b")]}, "there are two named 'v1'"),
        ({"mode": "dry"}, "mode='dry' is none of 'enforce', 'report'"),
        ({"workers": 0}, "workers=0 is not a number of processes"),
        ({"workers": True}, "workers=True is not a number of processes"),
        ({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies is a string (give a list of networks)"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "trusted_proxies: "),
        ({"trusted_proxies": 5}, "trusted_proxies=5 is not a list"),
        ({"client_ip_header": None}, "client_ip_header=None is not a field's name"),
        ({"cache": "redis://localhost"}, "cache='redis://localhost' is no CacheStorage (cache=CacheStorage(store=...))"),
        ({"store": "mysql://user:secret@host"}, "store='mysql://***@host' is no store's URL (the schemes are memory://"),
        ({"store": 5}, "store=5 is neither a URL nor a store"),
        ({"store": "memory://x"}, "takes no options"),
        ({"store": "host://a/b"}, "is neither a name nor a path"),
        ({"store": "host://a?b"}, "is no host store"),
        ({"store": "redis://host:port"}, 'write store="redis://host:6379/0"'),
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense(settings, says):
    assert says in mistake(**settings)


def test_routes_may_come_from_a_generator(site):
    client = site(routes=(Route(path, IPRules(deny=["127.0.0.1"])) for path in ("/a", "/b")))
    assert [client.get(path).status for path in ("/a", "/b", "/c")] == [403, 403, 200]


def test_a_gateway_without_plans_says_where_it_was_asked_for_one():
    with pytest.raises(ConfigurationError, match=HERE + "no route has usage plans"):
        Gateway().usage("key")
