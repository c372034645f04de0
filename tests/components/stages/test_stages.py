"""Stages: several apps, or several settings of one app, picked by base path, host and header."""

from __future__ import annotations

import pytest

from gatekeep.components.cors import Cors
from gatekeep.components.ip_rules import IPRules
from gatekeep.components.stages import Stage
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.testing import Client
from opaque import asgi_app, wsgi_app


def naming(request):
    """A view that says which stage it is in, and what it sees of the path."""
    root = request.environ_or_scope.get("SCRIPT_NAME", request.environ_or_scope.get("root_path", ""))
    return 200, [], f"{current().stage} {root}|{request.path}".encode()


@pytest.fixture
def ask(site):
    """Make a gateway with these stages; asking gives the stage's name, or the refusal's status."""

    def make(*stages, **options):
        client = site(stages=stages, view=naming, **options)

        def pick(target="/", host=None, **headers):
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            if host is not None:
                fields["host"] = host
            answer = client.get(target, headers=fields)
            return answer.body.decode().partition(" ")[0] if answer.status == 200 else answer.status

        return pick

    return make


def test_by_base_path_on_whole_segments(ask):
    pick = ask(Stage("one", path="/v1"), Stage("deep", path="/v1/deep/"), Stage("rest"))
    assert pick("/v1") == "one"
    assert pick("/v1/") == "one"
    assert pick("/v1/x") == "one"
    assert pick("/v1/deep/x") == "deep"
    assert pick("/v1/deeper") == "one"
    for other in ("/v10/x", "/V1/x", "//v1/x", "/%2fv1/x", "/x/v1", "/"):
        assert pick(other) == "rest"


def test_what_no_stage_takes_is_404_with_everything_of_the_gateway_on(site):
    client = site(Cors(allow_origins=["*"]), stages=[Stage("one", path="/v1")], view=naming)
    answer = client.get("/other", headers={"origin": "https://a.example"})
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert answer.headers.get("access-control-allow-origin") == "*"


def test_by_host(ask):
    pick = ask(
        Stage("exact", host="API.example"),
        Stage("near", host="*.eu.example"),
        Stage("far", host="*.example"),
        Stage("six", host="[2001:db8::1]"),
    )
    assert pick(host="api.example") == "exact"
    assert pick(host="API.EXAMPLE:8080") == "exact"
    assert pick(host="api.example.") == "exact"
    assert pick(host="a.eu.example") == "near"
    assert pick(host="a.example") == "far"
    assert pick(host="[2001:db8::1]:80") == "six"
    assert pick(host="example") == 404
    assert pick(host="api.example.evil.test") == 404
    assert pick(host="") == 404


def test_by_header_before_host_before_path(ask):
    pick = ask(
        Stage("canary", header=("X-Canary", "yes")),
        Stage("host", host="api.example"),
        Stage("path", path="/v1"),
        Stage("both", host="api.example", path="/v1"),
    )
    assert pick("/v1", host="api.example", x_canary="yes") == "canary"
    assert pick("/v1", host="api.example", x_canary="no") == "both"
    assert pick("/v1", host="other.example") == "path"
    assert pick("/v2", host="api.example") == "host"


@pytest.mark.parametrize("root", ["", "/mounted"])
def test_the_base_path_moves_to_the_root(site, root):
    client = site(stages=[Stage("one", path="/v1")], view=naming)
    target = f"{root}/v1/orders/7%20x"
    assert client.get(target, root_path=root).body.decode() == f"one {root}/v1|/orders/7 x"
    assert client.get(f"{root}/v1", root_path=root).body.decode() == f"one {root}/v1|"


def test_routes_are_relative_to_the_stage(site):
    client = site(stages=[Stage("one", path="/v1")], routes=[Route("/admin/{rest:path}", IPRules(deny=["127.0.0.1"]))])
    assert client.get("/v1/admin/x").status == 403
    assert client.get("/v1//admin/x").status == 400
    assert client.get("/v1/x").status == 200


def test_a_catch_all_holds_for_the_bare_base_path_too(site):
    """The app sees an empty path there, and takes it for its root."""
    client = site(stages=[Stage("one", path="/v1")], routes=[Route("/{rest:path}", IPRules(deny=["127.0.0.1"]))])
    assert client.get("/v1").status == 403


def test_specs_of_a_stage_hold_in_it_alone(site):
    client = site(stages=[Stage("closed", IPRules(deny=["127.0.0.1"]), path="/closed"), Stage("open")])
    assert client.get("/closed/x").status == 403
    assert client.get("/x").status == 200


def test_each_stage_may_have_an_app_of_its_own(protocol):
    make = wsgi_app if protocol == "wsgi" else asgi_app
    blue, green = (make(lambda request, colour=colour: (200, [], colour)) for colour in (b"blue", b"green"))
    gateway = Gateway(stages=[Stage("blue", app=blue, path="/blue"), Stage("green", app=green, path="/green"), Stage("wrapped")])
    wrap = gateway.wsgi if protocol == "wsgi" else gateway.asgi
    with pytest.raises(ConfigurationError, match="'wrapped' has no app"):
        wrap()
    with Client(wrap(make(lambda request: (200, [], b"wrapped")))) as client:
        assert client.get("/blue/x").body == b"blue"
        assert client.get("/green/x").body == b"green"
        assert client.get("/x").body == b"wrapped"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a b"}, "not a stage name"),
        ({"name": ""}, "not a stage name"),
        ({"path": "v1"}, "not a base path"),
        ({"path": "/a//b"}, "not a base path"),
        ({"path": "/{x}"}, "not a base path"),
        ({"host": "api.example:80"}, "not a host"),
        ({"host": "https://api.example"}, "not a host"),
        ({"host": "a.*.example"}, "not a host"),
        ({"variables": {"a": 1}}, "not a string"),
        ({"header": "x-canary"}, "no field with its value"),
        ({"header": ("x-canary", 1)}, "no field with its value"),
    ],
)
def test_mistakes_name_file_and_line(options, message):
    with pytest.raises(ConfigurationError, match=rf"test_stages\.py:\d+: Stage: .*{message}"):
        Stage(options.pop("name", "one"), **options)


def test_what_is_no_spec_is_named():
    with pytest.raises(ConfigurationError, match="not a spec"):
        Stage("one", "10/second")
    assert repr(Stage("one")) == "Stage('one')"


def test_two_that_are_picked_by_the_same_are_a_mistake():
    stages = [Stage("a", path="/v1"), Stage("b", path="/v1/")]
    with pytest.raises(ConfigurationError, match="'b' is picked by the same path, host and header as 'a'"):
        Gateway(stages=stages).wrap(wsgi_app(naming))
