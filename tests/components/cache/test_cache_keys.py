"""The property that makes a cache safe: requests that differ in anything declared never share an entry, equal ones do."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gatekeep.component import Plan
from gatekeep.components.cache import Cache
from gatekeep.components.cache.entry import Entry
from gatekeep.components.cache.form import FORMS
from gatekeep.components.cache.head import Answered
from gatekeep.components.cache.key import KeyMaker, identity
from gatekeep.components.cache.memory import Memory
from gatekeep.components.cache.policy import select
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


class _Site:
    stage = None


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
    exchange = Exchange(request, _Site(), None, None, None, 0.0)  # type: ignore[arg-type]
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
    return (*KeyMaker(spec, plan)(exchange, None if glanced else header), asked["extra"]), header


def shares(first: dict[str, Any], second: dict[str, Any], protocol: str) -> bool:
    """Whether the second request is served with what was stored for the first, whose answer varied by X-Varied."""
    memory = Memory()
    key, header = cache_key(first, protocol)
    entry = Entry(Answered(200, [], FORMS["wsgi"]), b"", FORMS["wsgi"], 0.0, 30.0)
    memory.put(key, ("x-varied",), header, entry, memory.generation)
    key, header = cache_key(second, protocol)
    return isinstance(select(memory.get(key), header, 1.0), Entry)


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


def test_the_two_protocols_never_meet() -> None:
    asked = {
        "stage": None, "route": "GET /a", "host": "h", "scheme": "http", "root": "", "path": "/a", "query": "", "declared": None,
        "varied": None, "authorization": None, "x-forwarded-host": None, "session": None, "extra": None, "principal": ANONYMOUS,
    }  # fmt: skip
    assert cache_key(asked, "asgi")[0] != cache_key(asked, "wsgi")[0]
