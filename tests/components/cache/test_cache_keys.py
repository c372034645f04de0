"""The property that makes a cache safe: requests that differ in anything declared never share an entry, equal ones do."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exchanges import exchange_of
from gatekeep.component import Plan
from gatekeep.components.cache import Cache
from gatekeep.components.cache.entry import Entry
from gatekeep.components.cache.form import FORMS
from gatekeep.components.cache.key import KeyMaker, address_of, identity, protocol_of
from gatekeep.components.cache.memory import Memory
from gatekeep.exchange import ANONYMOUS, Exchange, Principal
from gatekeep.requests import AsgiRequest, WsgiRequest

WORD = st.text("ab,=&|;:é\n", max_size=3)
NAME = st.sampled_from(["ann", "bob", ""])

PRINCIPAL = st.one_of(
    st.just(ANONYMOUS),
    st.builds(
        Principal,
        kind=st.sampled_from(["jwt", "api_key", "anonymous"]),
        issuer=NAME,
        id=NAME,
        client_id=st.none() | NAME,
        scopes=st.frozensets(NAME, max_size=2),
        roles=st.frozensets(NAME, max_size=2),
        claims=st.dictionaries(
            st.sampled_from(["tenant", "tid", "act"]), st.one_of(NAME, st.integers(0, 1), st.just({"sub": "x"})), max_size=2
        ),
        proof=st.sampled_from([None, "authorization", "x-token"]),
    ),
)
FIELD = st.none() | st.sampled_from(["", "a", "b", "a, b"])
REQUEST = st.fixed_dictionaries(
    {
        "stage": st.sampled_from([None, "prod", "test"]),
        "route": st.sampled_from(["GET /a", "GET /b"]),
        "host": st.sampled_from(["one.example", "two.example:80"]),
        "scheme": st.sampled_from(["http", "https"]),
        "root": st.sampled_from(["", "/base"]),
        "path": st.sampled_from(["/a", "/a/", "/a/b"]),
        "query": st.sampled_from(["", "x=1", "x=2", "x=1&y=2", "y=2&x=1", "x="]),
        "declared": FIELD,
        "varied": FIELD,
        "authorization": st.sampled_from([None, "Bearer a", "Bearer b"]),
        "x-forwarded-host": st.sampled_from([None, "evil.example"]),
        "session": st.sampled_from([None, "1", "2"]),
        "extra": st.sampled_from([None, "1", ("1",)]),
        "principal": PRINCIPAL,
    }
)


def exchange_for(asked: dict[str, Any], protocol: str) -> Exchange:
    fields = {
        "host": asked["host"],
        "x-declared": asked["declared"],
        "x-varied": asked["varied"],
        "authorization": asked["authorization"],
        "x-forwarded-host": asked["x-forwarded-host"],
        "cookie": None if asked["session"] is None else f"session={asked['session']}",
    }
    present = {name: value for name, value in fields.items() if value is not None}
    request: Any
    if protocol == "asgi":
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": asked["scheme"],
            "root_path": asked["root"],
            "path": asked["root"] + asked["path"],
            "query_string": asked["query"].encode(),
            "headers": [(name.encode(), value.encode()) for name, value in present.items()],
        }
        request = AsgiRequest(scope, None)  # type: ignore[arg-type]
    else:
        environ = {
            "REQUEST_METHOD": "GET",
            "wsgi.url_scheme": asked["scheme"],
            "SCRIPT_NAME": asked["root"],
            "PATH_INFO": asked["path"],
            "QUERY_STRING": asked["query"],
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in present.items()},
        }
        request = WsgiRequest(environ)
    exchange = exchange_of(request)
    exchange.principal = asked["principal"]
    return exchange


def cache_key(asked: dict[str, Any], protocol: str, *, glanced: bool = False) -> Any:
    plan = Plan(
        id=f"{asked['stage'] or ''}:{asked['route']}",
        template=None,
        methods=None,
        protocol=protocol,  # type: ignore[arg-type]
        handshake=False,
        specs=(),
        identified=True,
        personal=False,
        stage=asked["stage"],
        variables={},
    )
    spec = Cache(ttl=30, headers=("X-Declared",), cookies=("session",), key=lambda request: asked["extra"])
    exchange = exchange_for(asked, protocol)
    header = exchange.request.header
    return (KeyMaker(spec, plan)(exchange, None if glanced else header), asked["extra"]), header


def shares(first: dict[str, Any], second: dict[str, Any], protocol: str) -> bool:
    """Whether the second request is served with what was stored for the first, whose answer varied by X-Varied."""
    memory = Memory()
    key, header = cache_key(first, protocol)
    entry = Entry(FORMS["wsgi"], [], b"", 200, None, None, frozenset(), 0, 0.0, 30.0, 30.0, 0.0, 0.0, False)
    memory.put(key, ("x-varied",), header, entry)
    key, header = cache_key(second, protocol)
    record = memory.get(key)
    return record is not None and tuple([header(name) for name in record.names]) in record.variants


@settings(max_examples=300, deadline=None)
@given(REQUEST, REQUEST, st.sampled_from(["asgi", "wsgi"]))
def test_requests_that_differ_never_share(first: dict[str, Any], second: dict[str, Any], protocol: str) -> None:
    renewed = first["principal"].proof == second["principal"].proof == "authorization"
    assume(any(first[name] != second[name] for name in first if not (renewed and name == "authorization")))
    assert not shares(first, second, protocol)


@settings(max_examples=150, deadline=None)
@given(REQUEST, st.data(), st.sampled_from(["asgi", "wsgi"]))
def test_requests_that_differ_in_one_thing_never_share(first: dict[str, Any], data: st.DataObject, protocol: str) -> None:
    name = data.draw(st.sampled_from(sorted(first)))
    if name == "authorization" and first["principal"].proof == "authorization":
        name = "host"  # a renewed token is no other caller
    second = {**first, name: data.draw(REQUEST)[name]}
    assume(first[name] != second[name] or (name == "principal" and first[name].claims != second[name].claims))
    assert not shares(first, second, protocol)


@settings(max_examples=150, deadline=None)
@given(REQUEST, st.sampled_from(["asgi", "wsgi"]), st.sampled_from([None, "Bearer renewed"]))
def test_equal_requests_share(asked: dict[str, Any], protocol: str, renewed: str | None) -> None:
    again = {**asked, "authorization": renewed} if asked["principal"].proof == "authorization" else dict(asked)
    assert shares(asked, again, protocol)


@settings(max_examples=100, deadline=None)
@given(REQUEST, st.sampled_from(["asgi", "wsgi"]))
def test_a_glance_changes_no_key(asked: dict[str, Any], protocol: str) -> None:
    """Where the request has none of the fields looked for, the key is the same whether they are looked up or not."""
    asked = {**asked, "declared": None, "x-forwarded-host": None, "session": None}
    assert cache_key(asked, protocol, glanced=True)[0] == cache_key(asked, protocol)[0]


@given(WORD, WORD)
def test_an_identity_is_read_back_unambiguously(one: str, other: str) -> None:
    def principal(claim: Any) -> Principal:
        return Principal("jwt", "i", "x", claims={"tenant": claim})

    assume(one != other)
    assert identity(principal(one)) != identity(principal(other))
    assert identity(principal([one])) != identity(principal([other]))
    assert identity(principal(one)) != identity(principal([one]))
    assert identity(principal("1")) != identity(principal(1))
    assert identity(principal(None)) != identity(Principal("jwt", "i", "x"))
    assert hash(identity(principal({"sub": [one]}))) is not None


ASKED: dict[str, Any] = {
    "stage": None, "route": "GET /a", "host": "h", "scheme": "http", "root": "", "path": "/a", "query": "", "declared": None,
    "varied": None, "authorization": None, "x-forwarded-host": None, "session": None, "extra": None, "principal": ANONYMOUS,
}  # fmt: skip


def test_the_two_protocols_never_meet() -> None:
    assert cache_key(ASKED, "asgi")[0] != cache_key(ASKED, "wsgi")[0]


# What a key is put together with.
TRAP = st.text("0123,;/ ", max_size=6)
TRAPS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("scheme", "host", "query", "route"), TRAP),
        "root": TRAP.map("/{}".format),
        "path": TRAP.map("/{}".format),
        "principal": st.sampled_from([ANONYMOUS, Principal("jwt", "i", "ann", proof="authorization")]),
    }
)


@settings(max_examples=300, deadline=None)
@given(TRAPS, st.data(), st.sampled_from(["asgi", "wsgi"]))
def test_no_text_of_a_request_passes_for_the_seams_of_a_key(one: dict[str, Any], data: st.DataObject, protocol: str) -> None:
    other = {**one, data.draw(st.sampled_from(sorted(one))): data.draw(TRAP.map("/{}".format))}
    if isinstance(other["principal"], str):
        other = {**data.draw(TRAPS)}
    first, second = (cache_key({**ASKED, **asked}, protocol)[0] for asked in (one, other))
    assert (first == second) is (one == other)
    assert address_of(first) == (one["scheme"], one["host"], one["root"], one["path"], one["query"])
    assert protocol_of(first) == protocol


PIECE = st.builds("{}={}".format, st.sampled_from(["a", "b", "%61", "c+d"]), st.sampled_from(["1", "2", ""]))
QUERY = st.lists(PIECE, max_size=5)


def by_query(query: Any, sent: str, protocol: str = "asgi") -> Any:
    plan = Plan("GET /a", "/a", None, protocol, False, (), False, False, None, {})  # type: ignore[arg-type]
    return KeyMaker(Cache(ttl=30, query=query), plan)(exchange_for({**ASKED, "query": sent}, protocol), None)


def in_order_of_names(pieces: list[str], order: Any) -> list[str]:
    """The same parameters in another order, repeated ones in theirs."""
    names = [piece.partition("=")[0].replace("%61", "a") for piece in pieces]
    shuffled = order.draw(st.permutations(sorted(set(names))))
    return [piece for name in shuffled for piece, own in zip(pieces, names, strict=True) if own == name]


@given(QUERY, st.data())
def test_the_order_of_parameters_counts_only_where_it_is_said_to(pieces: list[str], data: st.DataObject) -> None:
    sent, other = "&".join(pieces), "&".join(in_order_of_names(pieces, data))
    assert by_query("sorted", sent) == by_query("sorted", other)
    assert by_query(("a", "b", "c d"), sent) == by_query(("c d", "b", "a"), other)
    assert (by_query("all", sent) == by_query("all", other)) is (sent == other)


@given(QUERY, QUERY)
def test_other_parameters_are_another_entry(one: list[str], other: list[str]) -> None:
    def said(pieces: list[str]) -> list[tuple[str, list[str]]]:
        pairs = [piece.replace("%61", "a").partition("=") for piece in pieces]
        return [(name, [value for key, _, value in pairs if key == name]) for name in sorted({key for key, _, _ in pairs})]

    assert (by_query(("a", "b", "c d"), "&".join(one)) == by_query(("a", "b", "c d"), "&".join(other))) is (
        said(one) == said(other)
    )
    if said(one) != said(other):
        assert by_query("sorted", "&".join(one)) != by_query("sorted", "&".join(other))


@given(QUERY, QUERY)
def test_no_parameter_counts_where_none_is_chosen(one: list[str], other: list[str]) -> None:
    assert by_query("none", "&".join(one)) == by_query("none", "&".join(other))
    assert by_query((), "&".join(one)) == by_query((), "&".join(other))


def test_what_is_escaped_is_not_what_it_stands_for() -> None:
    """An app may look at the path as it was sent: /a%2Fb and /a/b are one path to some and two to others."""

    def key(raw: str, protocol: str) -> Any:
        exchange = exchange_for({**ASKED, "path": unquote(raw)}, protocol)
        native = exchange.request.native
        if protocol == "asgi":
            native["raw_path"] = raw.encode()
        else:
            native["RAW_URI"] = raw
        plan = Plan("GET /a", "/a", None, protocol, False, (), False, False, None, {})  # type: ignore[arg-type]
        return KeyMaker(Cache(ttl=30), plan)(exchange, None)

    for protocol in ("asgi", "wsgi"):
        assert key("/a%2Fb", protocol) != key("/a/b", protocol)
        assert key("/a%3Bb", protocol) != key("/a;b", protocol)
        assert key("/a%2fb", protocol) == key("/a%2Fb", protocol)
        assert key("/%7Ea", protocol) == key("/~a", protocol)
        assert key("/%61%2Fb", protocol) == key("/a%2Fb", protocol)


def test_principals_are_many_and_what_is_known_of_them_is_bounded() -> None:
    kept = [Principal("jwt", "i", str(number)) for number in range(5000)]
    assert len({identity(one) for one in kept}) == 5000
    assert identity(kept[0]) == identity(Principal("jwt", "i", "0"))
