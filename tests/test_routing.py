"""Templates, the segment trie, and which Routes hold for a path or refuse to guess."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.ip_rules import IPRules
from gatekeep.errors import ConfigurationError
from gatekeep.paths import ambiguity
from gatekeep.requests import AsgiRequest, WsgiRequest
from gatekeep.route_table import RouteTable
from gatekeep.routing import Endpoint, Route
from gatekeep.template import Template, covers, may_meet
from gatekeep.trie import SegmentTrie


def requested(path, method="GET", raw=None, protocol="asgi", root=""):
    if protocol == "wsgi":
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path.encode().decode("latin-1"), "SCRIPT_NAME": root}
        if raw is not None:
            environ["RAW_URI"] = raw
        return WsgiRequest(environ)
    scope = {"type": "http", "method": method, "path": root + path, "root_path": root, "headers": []}
    if raw is not None:
        scope["raw_path"] = raw.encode()
    return AsgiRequest(scope, None)


class TestTemplate:
    @pytest.mark.parametrize(
        ("text", "path", "params"),
        [
            ("/", "/", {}),
            ("/orders", "/orders", {}),
            ("/orders", "/orders/", None),
            ("/orders", "/Orders", None),
            ("/orders/{id}", "/orders/7", {"id": "7"}),
            ("/orders/{id}", "/orders/", None),
            ("/orders/{id}", "/orders/7/8", None),
            ("/orders/{id}", "/orders/7\n", {"id": "7\n"}),
            ("/orders/{id:int}", "/orders/7", {"id": 7}),
            ("/orders/{id:int}", "/orders/-7", None),
            ("/orders/{id:int}", "/orders/x", None),
            ("/orders/{id:int}", "/orders/" + "9" * 5000, {"id": "9" * 5000}),
            ("/at/{x:float}", "/at/1.5", {"x": 1.5}),
            ("/u/{id:uuid}", "/u/12345678-1234-1234-1234-123456789abc", {"id": "12345678-1234-1234-1234-123456789abc"}),
            ("/u/{id:uuid}", "/u/12345678", None),
            ("/files/{rest:path}", "/files/", {"rest": ""}),
            ("/files/{rest:path}", "/files", None),
            ("/files/{rest:path}", "/files/a/b\nc", {"rest": "a/b\nc"}),
            ("/files/{rest:path}/raw", "/files/a/b/raw", {"rest": "a/b"}),
            ("/v{version:int}/x", "/v2/x", {"version": 2}),
            ("/{a}-{b}", "/1-2", {"a": "1", "b": "2"}),
            ("/a.b", "/axb", None),
        ],
    )
    def test_matches_the_whole_path_and_converts(self, text, path, params):
        assert Template(text).match(path) == params

    @pytest.mark.parametrize(
        "text",
        ["orders", "", "/{id:nope}", "/{id}/{id}", "/{id", "/id}", "/{1d}", "/{}", "/{id:int:int}", "/{ id }", "/a\0b", "/a\1"],
    )
    def test_what_is_no_pattern_is_refused(self, text):
        with pytest.raises(ValueError, match=re.escape(repr(text))):
            Template(text)

    def test_segments_as_a_trie_has_them(self):
        assert Template("/a/{b}/c-{d}/{rest:path}/ignored").segments == ["", "a", None, None, ...]
        assert "orders" in repr(Template("/orders"))

    @pytest.mark.parametrize(
        ("text", "exact"),
        [
            ("/", True),
            ("/a/{b}/c", True),
            ("/a/{b}", True),
            ("/{rest:path}", True),
            ("/a/{b:int}", False),
            ("/a-{b}", False),
            ("/{a}{b}", False),
            ("/{a}.json", False),
            ("/{rest:path}/x", False),
            ("/{rest:path}/{b}", False),
        ],
    )
    def test_exact_where_the_segments_say_it_all(self, text, exact):
        assert Template(text).exact is exact


segment = st.sampled_from(["", "a", "b", "A", "a.b", "7", ".", "%2f"])
pattern = st.lists(st.one_of(segment, st.none()), min_size=1, max_size=4).flatmap(
    lambda found: st.sampled_from([found, [*found, ...]])
)
any_path = st.lists(segment, min_size=1, max_size=5).map("/".join)


def fits(segments, path):
    """Naively: whether a path has these segments, where a rest may be empty or missing."""
    parts = path.split("/")
    for position, wanted in enumerate(segments):
        if wanted is ...:
            return True
        if position >= len(parts) or (wanted is not None and parts[position] != wanted):
            return False
    return len(parts) == len(segments)


@given(st.lists(pattern, max_size=8), any_path)
def test_the_trie_proposes_what_a_naive_matcher_finds_in_order(patterns, path):
    trie = SegmentTrie()
    for number, segments in enumerate(patterns):
        trie.add(segments, number)
    assert list(trie.candidates(path.split("/"))) == [number for number, segments in enumerate(patterns) if fits(segments, path)]


piece = st.sampled_from(["a", "b", "A", "{str}", "{str}", "{int}", "x{str}"])


@st.composite
def templates(draw):
    parts = draw(st.lists(piece, max_size=3)) + draw(st.sampled_from([[], [""], ["{path}"], ["{path}", "end"]]))
    named = [re.sub(r"\{(\w+)\}", rf"{{p{number}:\1}}", part) for number, part in enumerate(parts)]
    return Template("/" + "/".join(named))


def has_room(segments, path):
    """What `covers` may rely on: one segment is not empty, and a rest is at least one segment, maybe an empty one."""
    parts = path.split("/")
    return fits(segments, path) and all(
        len(parts) > position and (wanted is not None or parts[position] != "") for position, wanted in enumerate(segments)
    )


rooted = st.lists(st.sampled_from(["", "a", "b", "A", "7", "xa", "end"]), max_size=5).map(lambda parts: "/" + "/".join(parts))
endpoints = st.lists(st.one_of(st.sampled_from(["", "a", "b", "A"]), st.none()), max_size=4).flatmap(
    lambda found: st.sampled_from([["", *found], ["", *found, ...]])
)


@given(templates(), endpoints, rooted)
def test_what_covers_promises_holds(template, segments, path):
    if covers(template, segments) and has_room(segments, path):
        assert template.match(path) is not None


@given(templates(), templates(), rooted)
def test_templates_that_share_a_path_may_meet(one, other, path):
    if one.match(path) is not None and other.match(path) is not None:
        assert may_meet(one.segments, other.segments)
    if one.match(path) is not None and (other.nearly_matches(path) or other.nearly_matches(path.lower())):
        assert may_meet(one.segments, other.segments)
        assert may_meet(other.segments, one.segments)


@pytest.mark.parametrize(
    ("text", "segments", "covered"),
    [
        ("/admin/{rest:path}", ["", "admin", None], True),
        ("/admin/{rest:path}", ["", "admin", ...], True),
        ("/admin/{rest:path}", ["", "admin"], False),
        ("/admin/{rest:path}", ["", ...], False),
        ("/{rest:path}", ["", "a", "b"], True),
        ("/a/{b}", ["", "a", None], True),
        ("/a/{b}", ["", "a", "c"], True),
        ("/a/{b}", ["", "a", ""], False),
        ("/a/{b}", ["", None, "c"], False),
        ("/a/{b:int}", ["", "a", None], False),
        ("/a", ["", "a"], True),
        ("/a", ["", "a", "b"], False),
        ("/a", [...], False),
    ],
)
def test_covers(text, segments, covered):
    assert covers(Template(text), segments) is covered


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("/a", "/a/", True),
        ("/A", "/a", True),
        ("/a", "/b", False),
        ("/a", "/a/b", False),
        ("/a", "/a/{rest:path}", True),
        ("/{x}", "/a", True),
        ("/{x}/b", "/a/{y}", True),
        ("/a/b/c", "/a", False),
    ],
)
def test_may_meet(one, other, meet):
    assert may_meet(Template(one).segments, Template(other).segments) is meet
    assert may_meet(Template(other).segments, Template(one).segments) is meet


@given(st.lists(templates(), max_size=8), templates())
def test_a_table_finds_the_routes_that_a_pattern_may_meet(known, one):
    table = RouteTable([Route(template.text) for template in known])
    expected = [number for number, other in enumerate(known) if may_meet(one.segments, other.segments)]
    assert [number for number, _ in table.meeting(one.segments)] == expected
    assert [number for number, _ in table.meeting([...])] == list(range(len(known)))


def test_a_trie_proposes_few_of_its_values():
    trie = SegmentTrie()
    for number in range(1000):
        trie.add(Template(f"/a{number % 10}/{{x}}/things{number}").segments, number)
    assert trie.meeting(Template("/a7/{y}/things7").segments) == [7]


class TestRoute:
    @pytest.mark.parametrize(
        ("path", "fix"),
        [
            ("/admin/<path:rest>", "/admin/{rest:path}"),
            ("/admin/<int:i>/x", "/admin/{i:int}/x"),
            ("/admin/<slug:name>", "/admin/{name}"),
            ("/admin/<string(length=2):name>", "/admin/{name}"),
            ("/admin/<name>", "/admin/{name}"),
            ("/admin/*", "/admin/{rest:path}"),
            ("/admin/**", "/admin/{rest:path}"),
            ("/admin/*/x", "/admin/{name}/x"),
        ],
    )
    def test_the_patterns_of_others_are_mistakes_and_told_in_ours(self, path, fix):
        with pytest.raises(ConfigurationError, match="stand for itself") as caught:
            Route(path)
        assert caught.value.fix == f'"{fix}"'
        assert caught.value.origin.file == __file__
        Route(fix)

    def test_get_takes_head_along_and_none_means_every_method(self):
        assert Route("/x", methods={"get"}).methods == {"GET", "HEAD"}
        assert Route("/x", methods=["POST"]).allows("POST")
        assert not Route("/x", methods=["POST"]).allows("HEAD")
        assert Route("/x").allows("BREW")
        assert repr(Route("/x")) == "Route('/x')"

    @pytest.mark.parametrize(
        ("arguments", "methods", "message"),
        [(("x",), None, "slash"), (("/x", "spec"), None, "not a spec"), (("/x",), "GET", "is a string")],
    )
    def test_mistakes_name_file_and_line(self, arguments, methods, message):
        with pytest.raises(ConfigurationError, match=message) as caught:
            Route(*arguments, methods=methods)
        assert caught.value.origin.file == __file__


def holding(routes, path, **request):
    """The patterns that hold, or None where the table does not decide."""
    table = RouteTable([route if isinstance(route, Route) else Route(route) for route in routes])
    matching = table.matching(requested(path, **request))
    return None if matching is None else [table.routes[number].path for number in matching[0]]


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
class TestRouteTable:
    def test_every_route_that_holds_in_order_with_its_parameters(self, protocol):
        routes = [Route("/{rest:path}"), Route("/orders/{id:int}", methods={"POST"}), Route("/orders/{name}")]
        numbers, params = RouteTable(routes).matching(requested("/orders/7", "post", protocol=protocol))
        assert numbers == (0, 1, 2)
        assert params == {"rest": "orders/7", "id": 7, "name": "7"}
        assert holding(routes, "/orders/7", protocol=protocol) == ["/{rest:path}", "/orders/{name}"]

    @pytest.mark.parametrize(
        ("routes", "path"),
        [
            (["/admin"], "/admin/"),
            (["/admin"], "/admin//"),
            (["/admin/"], "/admin"),
            (["/admin"], "/ADMIN"),
            (["/Admin"], "/admin"),
            (["/Admin/"], "/admin"),
            (["/admin/{rest:path}"], "/admin"),
            (["/admin/{rest:path}"], "/Admin/x"),
            (["/admin/{id}"], "/admin/7/"),
            (["/admin/{id}", "/{rest:path}"], "/admin/7/"),
            (["/orders/special", "/orders/{id}"], "/orders/SPECIAL"),
            (["/admin"], "/%61dmin"),
            (["/admin/{id:int}", "/admin/{rest:path}"], "/admin/%37"),
            (["/admin"], "/adm\u0131n"),
            (["/users", "/{name}"], "/u\u017fers"),
            (["/stra\u00dfe"], "/STRASSE"),
            (["/admin/{rest:path}"], "/\uff41dmin/x"),
            (["/admin"], "/admin "),
            (["/admin"], "/admin?x"),
            (["/admin/{id}"], "/admin/7#x/y"),
            (["/admin"], "/\uff0fadmin"),
            (["/admin"], "/a\uff0f\uff0e\uff0e/admin"),
            (["/admin/{id}"], "/ admin/7"),
        ],
    )
    def test_a_path_that_fits_only_nearly_is_not_decided(self, routes, path, protocol):
        assert holding(routes, path, protocol=protocol) is None

    @pytest.mark.parametrize(
        ("routes", "path", "holds"),
        [
            (["/admin", "/admin/"], "/admin/", ["/admin/"]),
            (["/admin", "/admin/"], "/admin", ["/admin"]),
            (["/admin", "/admin/{rest:path}"], "/admin", ["/admin"]),
            (["/admin", "/admin/{rest:path}"], "/admin/", ["/admin/{rest:path}"]),
            (["/a/{x}", "/a/{y}/"], "/a/7/", ["/a/{y}/"]),
            (["/Users", "/users"], "/users", ["/users"]),
            (["/"], "/", ["/"]),
            (["/"], "", ["/"]),
            (["/{rest:path}"], "", ["/{rest:path}"]),
            (["/{rest:path}"], "/", ["/{rest:path}"]),
            (["/admin"], "/other/", []),
            (["/admin"], "/Other", []),
        ],
    )
    def test_a_route_that_names_the_path_itself_settles_it(self, routes, path, holds, protocol):
        assert holding(routes, path, protocol=protocol) == holds

    @pytest.mark.parametrize(
        ("root", "path", "holds"),
        [
            ("/admin", "", None),
            ("/admin", "/", None),
            ("/ADMIN", "/", None),
            ("/api", "/keys/7", None),
            ("/api", "/orders", []),
            ("/api", "/admin", ["/admin"]),
            ("/x", "/7/y", ["/{a}/{b}"]),
            ("/x", "/y", []),
        ],
    )
    def test_a_root_path_that_a_route_begins_with(self, root, path, holds, protocol):
        """An app that does not take it off reads the whole path."""
        assert holding(["/admin", "/api/keys/{rest:path}", "/{a}/{b}"], path, root=root, protocol=protocol) == holds

    def test_nearness_counts_for_the_route_s_own_methods_only(self, protocol):
        routes = [Route("/admin", methods={"POST"})]
        assert holding(routes, "/ADMIN", method="GET", protocol=protocol) == []
        assert holding(routes, "/ADMIN", method="POST", protocol=protocol) is None

    @pytest.mark.parametrize("path", ["/a//b", "/a/../b", "/a;b", "/a\\b", "/ADMIN"])
    def test_a_route_may_allow_what_is_ambiguous(self, path, protocol):
        loose = Route("/{rest:path}", allow_ambiguous_paths=True)
        assert holding([loose], path, protocol=protocol) == ["/{rest:path}"]
        assert holding([Route("/admin", allow_ambiguous_paths=True)], "/ADMIN", protocol=protocol) == []

    @pytest.mark.parametrize(
        ("path", "raw", "why"),
        [
            ("/a//b", None, "empty"),
            ("//a", None, "empty"),
            ("/a/.", None, "dot"),
            ("/../a", None, "dot"),
            ("/a/./b", None, "dot"),
            ("/a\\b", None, "backslash"),
            ("/a;b", None, "semicolon"),
            ("/a\0", None, "control"),
            ("/admin\n", None, "control"),
            ("/a\x7f", None, "control"),
            ("/a\ufffd", None, "UTF-8"),
            ("/a%2Fb", "/a%252Fb", "doubly"),
            ("/a%2e", "/a%252e", "doubly"),
            ("/a/b", "/a%2Fb", "encoded"),
            ("/.a/b", "/%2ea%2fb", "encoded"),
            ("/%/b", "/%25%2fb", "encoded"),
            ("admin", "admin", "leading"),
            ("*", "*", "leading"),
        ],
    )
    def test_why_a_path_is_ambiguous(self, path, raw, why, protocol):
        assert why in ambiguity(requested(path, raw=raw, protocol=protocol))

    @pytest.mark.parametrize(
        ("path", "raw"),
        [
            ("/a.b/c..d/...", None),
            ("/a b", "/a%20b"),
            ("/ä", "/%C3%A4"),
            ("/50%", "/50%25"),
            ("/.well-known/x", None),
            ("", None),
        ],
    )
    def test_what_is_not(self, path, raw, protocol):
        assert ambiguity(requested(path, raw=raw, protocol=protocol)) is None

    def test_a_raw_path_that_does_not_fit_says_nothing(self, protocol):
        assert ambiguity(requested("/a/b", raw="/other%2fpath", protocol=protocol)) is None


def test_endpoints_are_named_the_same_everywhere():
    assert Endpoint(template="/x", methods={"POST", "GET"}, view=None, key=1).id == "GET,POST /x"
    assert Endpoint(template="/x", methods=None, view=None, key=1, name="a.b").id == "* /x a.b"
    ws = Endpoint(template="/x", methods=None, view=None, key=1, handshake=True)
    assert ws.id == "WS /x"
    assert repr(ws) == "<Endpoint WS /x>"


def test_an_encoded_slash_reaches_no_view_around_its_policy(site):
    client = site(routes=[Route("/admin/{rest:path}", IPRules(deny=["127.0.0.1"])), Route("/{rest:path}")])
    for target in ("/%2eadmin%2fx", "/admin%2Fx", "/admin%2f", "/admin%0a", "/%ff"):
        assert client.get(target).json()["code"] == "ambiguous_path"
    assert client.get("/admin").json()["code"] == "ambiguous_path"
    assert client.get("/admin/x").status == 403
    assert client.get("/other").status == 200
