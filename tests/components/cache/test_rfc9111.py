"""RFC 9111, requirement by requirement: what a client sees of a shared cache, under WSGI and ASGI. Each row names its section."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from origins import Origin, Says, date

from gatekeep.components.cache import Cache
from gatekeep.testing import FakeClock


class Asks(NamedTuple):
    """A request, `after` seconds from the one before, and the run whose body it gets: a new one, or a stored one."""

    gets: int
    after: float = 0.0
    headers: dict[str, str] = {}  # noqa: RUF012
    method: str = "GET"
    path: str = "/a"
    status: int = 200
    cache_status: str | None = None


FRESH = "Cache-Control: max-age=60"
ETAG = 'ETag: "v1"'
BEARER = {"authorization": "Bearer x"}


def reused(*fields: str, status: int = 200, after: float = 0.0) -> tuple[list[Says], list[Asks]]:
    """One answer serves a second request."""
    return [Says(fields, status)], [Asks(1, status=status), Asks(1, after, status=status)]


def not_reused(*fields: str, status: int = 200, after: float = 0.0) -> tuple[list[Says], list[Asks]]:
    return [Says(fields, status)], [Asks(1, status=status), Asks(2, after, status=status)]


def for_credentials(*fields: str, shares: bool) -> tuple[list[Says], list[Asks]]:
    return [Says(fields)], [Asks(1, headers=BEARER), Asks(1 if shares else 2, headers=BEARER)]


VARY = "Vary: Accept-Language"
EN, FR = {"accept-language": "en"}, {"accept-language": "fr"}

ROWS: dict[str, tuple[list[Says], list[Asks]]] = {
    # §3: what is stored.
    "3 an answer without a lifetime or validator is not stored": not_reused(),
    "3 final statuses with an explicit lifetime are stored": reused(FRESH, status=404),
    "3 even a server error with an explicit lifetime": reused(FRESH, status=500),
    "3 and one that nobody knows": reused(FRESH, status=299),
    "3 only the answer to a GET is stored": ([Says([FRESH])], [Asks(0, method="HEAD"), Asks(2)]),
    "3.3 a part is not stored": not_reused(FRESH, "Content-Range: bytes 0-4/9", status=206),
    "3.5 an answer to credentials is not shared": for_credentials(FRESH, shares=False),
    "3.5 unless it is public": for_credentials(f"{FRESH}, public", shares=True),
    "3.5 or has s-maxage": for_credentials("Cache-Control: s-maxage=60", shares=True),
    "3.5 or must-revalidate": for_credentials(f"{FRESH}, must-revalidate", shares=True),
    "3.5 what others were told may serve who has credentials": ([Says([FRESH])], [Asks(1), Asks(1, headers=BEARER)]),
    # §4: what is reused.
    "4 another query is another resource": (
        [Says([FRESH])],
        [Asks(1, path="/a?x=1"), Asks(2, path="/a?x=2"), Asks(1, path="/a?x=1")],
    ),
    "4 another path is another resource": ([Says([FRESH])], [Asks(1), Asks(2, path="/b"), Asks(1)]),
    "4 another method is not served": ([Says([FRESH])], [Asks(1), Asks(2, method="OPTIONS"), Asks(1)]),
    "4 HEAD is served from what a GET left": ([Says([FRESH])], [Asks(1), Asks(0, method="HEAD"), Asks(1)]),
    "4.1 variants are apart": (
        [Says([FRESH, VARY])],
        [Asks(1, headers=EN), Asks(2, headers=FR), Asks(1, headers=EN), Asks(2, headers=FR)],
    ),
    "4.1 a field that is missing is a variant, too": ([Says([FRESH, VARY])], [Asks(1, headers=EN), Asks(2), Asks(2)]),
    "4.1 Vary: * never matches": not_reused(FRESH, "Vary: *"),
    "4.1 nor does it in a list": not_reused(FRESH, "Vary: Accept, *"),
    # §4.2: freshness.
    "4.2.1 fresh until max-age": reused(FRESH, after=59.0),
    "4.2.1 stale from max-age on": not_reused(FRESH, after=60.0),
    "4.2.1 s-maxage beats a longer max-age": not_reused("Cache-Control: max-age=600, s-maxage=60", after=60.0),
    "4.2.1 s-maxage beats a shorter max-age": reused("Cache-Control: max-age=1, s-maxage=60", after=59.0),
    "4.2.1 max-age beats a past Expires": reused(FRESH, f"Expires: {date(-10)}", after=59.0),
    "4.2.1 max-age=0 beats a future Expires": not_reused("Cache-Control: max-age=0", f"Expires: {date(60)}"),
    "4.2.1 Expires counts from Date": reused(f"Expires: {date(1060)}", f"Date: {date(1000)}", after=59.0),
    "4.2.1 and ends": not_reused(f"Expires: {date(1060)}", f"Date: {date(1000)}", after=60.0),
    "4.2.1 without a Date from when it came": reused(f"Expires: {date(60)}", after=59.0),
    "4.2.1 of two the first counts": reused("Cache-Control: max-age=60, max-age=1", after=59.0),
    "4.2.1 what is no number of seconds is stale": not_reused("Cache-Control: max-age=soon"),
    "4.2.1 so is a negative one": not_reused("Cache-Control: max-age=-1"),
    "4.2.1 and one with a space": not_reused("Cache-Control: max-age =60"),
    "4.2.1 a directive in quotes is none": not_reused('Cache-Control: extension="max-age=60"'),
    "4.2.1 more seconds than anyone counts": reused("Cache-Control: max-age=99999999999", after=1e9),
    "4.2.2 heuristics are off": (
        [Says([f"Last-Modified: {date(-1_000_000)}"])],
        [Asks(1), Asks(1, cache_status="gatekeep; fwd=stale; fwd-status=304; stored")],
    ),
    "4.2.3 Age counts": not_reused(FRESH, "Age: 30", after=30.0),
    "4.2.3 and what is left of it is used": reused(FRESH, "Age: 30", after=29.0),
    "4.2.3 an old Date counts, too": not_reused(FRESH, f"Date: {date(-60)}"),
    "5.1 of several Ages the first counts": reused(FRESH, "Age: 0, 7200"),
    "5.1 an Age that is no number is ignored": reused(FRESH, "Age: old"),
    # §4.2.4 and §5.2.2: what forbids.
    "5.2.2.2 must-revalidate changes nothing while it is fresh": reused(f"{FRESH}, must-revalidate", after=59.0),
    "5.2.2.3 must-understand of a known status lets store": reused(f"{FRESH}, must-understand, no-store"),
    "5.2.2.3 and of an unknown one does not": not_reused(f"{FRESH}, must-understand", status=299),
    "5.2.2.4 no-cache is not reused unasked": not_reused(f"{FRESH}, no-cache"),
    "5.2.2.4 so is the form that names fields": not_reused(f'{FRESH}, no-cache="x-user"'),
    "5.2.2.5 no-store": not_reused(f"{FRESH}, no-store"),
    "5.2.2.5 in whatever case": not_reused("Cache-Control: MAX-AGE=60, No-Store"),
    "5.2.2.5 in a line of its own": not_reused(FRESH, "Cache-Control: no-store"),
    "5.2.2.7 private": not_reused(f"{FRESH}, private"),
    "5.2.2.7 so is the form that names fields": not_reused(f'{FRESH}, private="x-user"'),
    "5.2.2.9 public alone is no lifetime": not_reused("Cache-Control: public"),
    "5.2.3 unknown directives are ignored": reused('Cache-Control: foo, bar="no-store", max-age=60', after=59.0),
    "5.3 an invalid Expires is in the past": not_reused("Expires: 0"),
    "5.3 so is a past one": not_reused(f"Expires: {date(-1)}"),
    "5.4 a Pragma in an answer says nothing": reused(FRESH, "Pragma: no-cache"),
    "7.3 an answer that sets a cookie is not stored": not_reused(FRESH, "Set-Cookie: a=b"),
    # §4.3: validation.
    "4.3.1 a stale answer is validated by its ETag": (
        [Says([FRESH, ETAG])],
        [Asks(1), Asks(1, 60.0, cache_status="gatekeep; fwd=stale; fwd-status=304; stored"), Asks(1, 59.0), Asks(1, 1.0)],
    ),
    "4.3.1 or by its Last-Modified": ([Says([FRESH, f"Last-Modified: {date(-9)}"])], [Asks(1), Asks(1, 60.0), Asks(1, 59.0)]),
    "4.3.1 no-cache is validated each time": ([Says([f"{FRESH}, no-cache", ETAG])], [Asks(1), Asks(1), Asks(1)]),
    "4.3.3 a new answer replaces the old": (
        [Says([FRESH, ETAG]), Says([FRESH, 'ETag: "v2"'])],
        [Asks(1), Asks(2, 60.0), Asks(2, 59.0)],
    ),
    "4.3.3 a server error replaces nothing": (
        [Says([FRESH, ETAG]), Says(status=503), Says([FRESH, ETAG])],
        [Asks(1), Asks(2, 60.0, status=503), Asks(1)],
    ),
    "4.3.4 a 304 gives a new lifetime": (
        [Says(["Cache-Control: max-age=10", ETAG]), Says(["Cache-Control: max-age=100", ETAG])],
        [Asks(1), Asks(1, 10.0), Asks(1, 99.0), Asks(1, 1.0)],
    ),
    "4.3.4 a 304 that says no-store is the end of it": (
        [Says([FRESH, ETAG]), Says(["Cache-Control: no-store", ETAG]), Says([FRESH])],
        [Asks(1), Asks(1, 60.0), Asks(3)],
    ),
    "4.3.5 a HEAD that says the same freshens": (
        [Says([FRESH, ETAG])],
        [Asks(1), Asks(0, 60.0, method="HEAD"), Asks(1, 59.0)],
    ),
    "4.3.5 and one that says otherwise makes stale": (
        [Says([FRESH, 'ETag: "v1"']), Says([FRESH, 'ETag: "v2"']), Says([FRESH, 'ETag: "v2"'])],
        [Asks(1), Asks(0, 60.0, method="HEAD"), Asks(3)],
    ),
    # §4.4: invalidation.
    **{
        f"4.4 {method} invalidates": ([Says([FRESH])], [Asks(1), Asks(2, method=method), Asks(3), Asks(3)])
        for method in ("POST", "PUT", "PATCH", "DELETE", "M-SEARCH")
    },
    "4.4 every variant and query": (
        [Says([FRESH, VARY])],
        [Asks(1, headers=EN), Asks(2, path="/a?x=1"), Asks(3, method="POST"), Asks(4, headers=EN), Asks(5, path="/a?x=1")],
    ),
    "4.4 a redirect is a success": (
        [Says([FRESH]), Says(status=303), Says([FRESH])],
        [Asks(1), Asks(2, method="POST", status=303), Asks(3)],
    ),
    "4.4 an error changed nothing": (
        [Says([FRESH]), Says(status=500)],
        [Asks(1), Asks(2, method="POST", status=500), Asks(1)],
    ),
    "4.4 a safe method changes nothing": ([Says([FRESH])], [Asks(1), Asks(2, method="OPTIONS"), Asks(1)]),
    "4.4 nor is another path invalidated": ([Says([FRESH])], [Asks(1), Asks(2, method="POST", path="/ab"), Asks(1)]),
    "4.4 Location goes, too": (
        [Says([FRESH]), Says(["Location: /a"], 201), Says([FRESH])],
        [Asks(1), Asks(2, method="POST", path="/b", status=201), Asks(3)],
    ),
    "4.4 and a relative Content-Location": (
        [Says([FRESH]), Says(["Content-Location: a?x=1"]), Says([FRESH])],
        [Asks(1), Asks(2, method="PUT", path="/b"), Asks(3)],
    ),
    "7.4 but none of another host": (
        [Says([FRESH]), Says(["Location: http://elsewhere.example/a", "Content-Location: http://[/a"], 201)],
        [Asks(1), Asks(2, method="POST", path="/b", status=201), Asks(1)],
    ),
    # §5.2.1: what clients ask, where they may.
    "5.2.1.1 max-age: not older": (
        [Says([FRESH])],
        [Asks(1), Asks(1, 5.0, {"cache-control": "max-age=5"}), Asks(2, 1.0, {"cache-control": "max-age=5"})],
    ),
    "5.2.1.2 max-stale: not fresh is good enough": (
        [Says([FRESH])],
        [Asks(1), Asks(1, 70.0, {"cache-control": "max-stale=10"}), Asks(2, 1.0, {"cache-control": "max-stale=10"})],
    ),
    "5.2.1.2 of any age": ([Says([FRESH])], [Asks(1), Asks(1, 9000.0, {"cache-control": "max-stale"})]),
    "5.2.1.2 never of a must-revalidate": (
        [Says([f"{FRESH}, must-revalidate"])],
        [Asks(1), Asks(2, 70.0, {"cache-control": "max-stale"})],
    ),
    "5.2.1.2 nor of a proxy-revalidate": (
        [Says([f"{FRESH}, proxy-revalidate"])],
        [Asks(1), Asks(2, 70.0, {"cache-control": "max-stale"})],
    ),
    "5.2.1.2 nor of an s-maxage": (
        [Says(["Cache-Control: s-maxage=60"])],
        [Asks(1), Asks(2, 70.0, {"cache-control": "max-stale"})],
    ),
    "5.2.1.3 min-fresh: for so long at least": (
        [Says([FRESH])],
        [Asks(1), Asks(1, 50.0, {"cache-control": "min-fresh=10"}), Asks(2, 1.0, {"cache-control": "min-fresh=10"})],
    ),
    "5.2.1.4 no-cache validates": (
        [Says([FRESH, ETAG])],
        [Asks(1), Asks(1, headers={"cache-control": "no-cache"}, cache_status="gatekeep; fwd=request; fwd-status=304; stored")],
    ),
    "5.2.1.4 or fetches": (
        [Says([FRESH])],
        [Asks(1), Asks(2, headers={"cache-control": "no-cache"}, cache_status="gatekeep; fwd=request; stored"), Asks(2)],
    ),
    "5.2.1.5 no-store stores nothing": ([Says([FRESH])], [Asks(1, headers={"cache-control": "no-store"}), Asks(2), Asks(2)]),
    "5.2.1.7 only-if-cached": (
        [Says([FRESH])],
        [
            Asks(0, headers={"cache-control": "only-if-cached"}, status=504),
            Asks(1),
            Asks(1, headers={"cache-control": "only-if-cached"}),
        ],
    ),
    "5.2.1.7 a stale one is none": ([Says([FRESH])], [Asks(1), Asks(0, 60.0, {"cache-control": "only-if-cached"}, status=504)]),
    "5.2.1.7 nor one that the rest does not allow": (
        [Says([FRESH])],
        [Asks(1), Asks(0, headers={"cache-control": "only-if-cached, no-cache"}, status=504)],
    ),
    "5.4 Pragma: no-cache where nothing else is said": ([Says([FRESH])], [Asks(1), Asks(2, headers={"pragma": "no-cache"})]),
    "5.4 Cache-Control beats it": ([Says([FRESH])], [Asks(1), Asks(1, headers={"pragma": "no-cache", "cache-control": "foo"})]),
}

RFC9213: dict[str, tuple[list[Says], list[Asks]]] = {
    "2.2 the targeted field decides": reused("CDN-Cache-Control: max-age=60", "Cache-Control: no-store", after=59.0),
    "2.2 also against": not_reused("CDN-Cache-Control: no-store", FRESH),
    "2.2 Expires is not asked": not_reused("CDN-Cache-Control: foo", f"Expires: {date(60)}"),
    "2.2 private": not_reused("CDN-Cache-Control: max-age=60, private", "Cache-Control: public"),
    "2.2 no-cache": not_reused("CDN-Cache-Control: no-cache", FRESH),
    "2.2 a shorter one": not_reused("CDN-Cache-Control: max-age=1", FRESH, after=1.0),
    "2.1 a malformed one is ignored": reused("CDN-Cache-Control: max-age=1, &&&", FRESH, after=59.0),
    "2.1 so is an empty one": reused("CDN-Cache-Control: ", FRESH, after=59.0),
    "2.1 parameters are": reused("CDN-Cache-Control: max-age=60;x=1;y", after=59.0),
    "2.1 a value of another type is no lifetime": not_reused('CDN-Cache-Control: max-age="60"'),
    "2.1 of two the last counts": reused("CDN-Cache-Control: max-age=1, max-age=60", after=59.0),
    "2.1 false is as good as absent": reused("CDN-Cache-Control: max-age=60, private=?0, no-store=?0", after=59.0),
}


def play(site: Any, says: list[Says], asks: list[Asks], **options: Any) -> None:
    origin, clock = Origin(*says), FakeClock()
    client = site(Cache(http=True, refresh=True, **options), view=origin, clock=clock)
    for number, step in enumerate(asks, 1):
        clock.advance(step.after)
        answer = client.request(step.method, step.path, headers=step.headers)
        assert answer.status == step.status, f"request {number}"
        if step.gets:
            assert answer.body == f"run {step.gets}".encode(), f"request {number}"
        if step.cache_status is not None:
            assert answer.headers.get("cache-status") == step.cache_status, f"request {number}"


@pytest.mark.parametrize("row", ROWS.values(), ids=[f"§{name}" for name in ROWS])
def test_rfc9111(site: Any, row: tuple[list[Says], list[Asks]]) -> None:
    play(site, *row)


@pytest.mark.parametrize("row", RFC9213.values(), ids=[f"§{name}" for name in RFC9213])
def test_rfc9213(site: Any, row: tuple[list[Says], list[Asks]]) -> None:
    play(site, *row)


@pytest.mark.parametrize(
    "field",
    [
        "Connection: close",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Proxy-Authentication-Info: x",
        "Proxy-Authorization: x",
        "Proxy-Connection: close",
        "TE: trailers",
        "Trailer: x",
        "Upgrade: x",
        "X-Hop: x",
    ],
)
def test_rfc9111_3_1_hop_by_hop_fields_are_not_stored(site: Any, field: str) -> None:
    hops = "Connection: close, X-Hop"
    origin = Origin(Says([FRESH, *dict.fromkeys((hops, field)), "X-Other: kept"]))
    client = site(Cache(http=True), view=origin)
    client.get("/a")
    hit = client.get("/a")
    assert origin.runs == 1
    assert hit.headers.get(field.partition(":")[0]) is None
    assert hit.headers.get("x-other") == "kept"


@pytest.mark.parametrize("name", ["Content-Type", "X-Other", "Expires", "Content-Location", "Link"])
def test_rfc9111_3_2_a_304_updates_the_fields(site: Any, name: str) -> None:
    old, new = ("text/plain", "text/html") if name == "Content-Type" else (date(60), date(99))
    clock = FakeClock()
    origin = Origin(Says([FRESH, ETAG, f"{name}: {old}", "X-Same: 1"]), Says([FRESH, ETAG, f"{name}: {new}"]))
    client = site(Cache(http=True), view=origin, clock=clock)
    client.get("/a")
    clock.advance(60)
    for _ in range(2):
        answer = client.get("/a")
        assert (answer.body, answer.headers.get_all(name), answer.headers.get("x-same")) == (b"run 1", [new], "1")
    assert origin.runs == 2


@pytest.mark.parametrize("name", ["Content-Encoding", "Content-Length", "Content-MD5", "ETag"])
def test_rfc9111_3_2_but_not_those_that_belong_to_the_stored_body(site: Any, name: str) -> None:
    stored = {"Content-Encoding": "gzip", "Content-Length": "5", "Content-MD5": "x", "ETag": '"v1"'}[name]
    clock = FakeClock()
    modified = f"Last-Modified: {date(-9)}"
    origin = Origin(Says([FRESH, modified, f"{name}: {stored}"]), Says([FRESH, modified, f"{name}: other"], 304, b""))
    client = site(Cache(http=True), view=origin, clock=clock)
    client.get("/a")
    clock.advance(60)
    answer = client.get("/a")
    assert (answer.status, answer.body, answer.headers.get_all(name)) == (200, b"run 1", [stored])


def test_rfc9111_3_2_a_cookie_of_a_304_is_for_this_client_alone(site: Any) -> None:
    clock = FakeClock()
    origin = Origin(Says([FRESH, ETAG]), Says([FRESH, ETAG, "Set-Cookie: mine=1"]))
    client = site(Cache(http=True), view=origin, clock=clock)
    client.get("/a")
    clock.advance(60)
    validated = client.get("/a")
    assert (validated.body, validated.headers.get("set-cookie")) == (b"run 1", "mine=1")
    assert client.get("/a").headers.get("set-cookie") is None
    assert origin.runs == 2


def test_rfc9111_4_2_2_heuristics_where_they_are_on(site: Any) -> None:
    clock = FakeClock()
    origin = Origin(Says([f"Last-Modified: {date(-1000)}"]))
    client = site(Cache(http=True, heuristic=0.1), view=origin, clock=clock)
    client.get("/a")
    clock.advance(99)
    assert client.get("/a").headers.get("cache-status") == "gatekeep; hit; ttl=1"
    clock.advance(1)
    client.get("/a")
    assert origin.runs == 2


@pytest.mark.parametrize(("status", "reused"), [(200, True), (404, True), (201, False), (302, False), (500, False)])
def test_rfc9111_4_2_2_heuristics_are_for_some_statuses(site: Any, status: int, reused: bool) -> None:
    origin = Origin(Says([f"Last-Modified: {date(-1_000_000)}"], status), conditional=False)
    client = site(Cache(http=True, heuristic=0.1), view=origin, clock=FakeClock())
    assert client.get("/a").status == client.get("/a").status == status
    assert origin.runs == (1 if reused else 2)


def test_rfc9111_4_2_3_age(site: Any) -> None:
    clock = FakeClock()
    client = site(Cache(http=True), view=Origin(Says([FRESH, "Age: 10", f"Date: {date(-5)}"])), clock=clock)
    client.get("/a")
    clock.advance(7)
    hit = client.get("/a")
    assert hit.headers.get_all("age") == ["17"]
    assert hit.headers.get("cache-status") == "gatekeep; hit; ttl=43"
    assert hit.headers.get_all("date") == [date(-5)]


def test_rfc9111_4_3_1_the_cache_s_own_condition_takes_the_place_of_the_client_s(site: Any) -> None:
    clock = FakeClock()
    origin = Origin(Says([FRESH, ETAG, f"Last-Modified: {date(-9)}"]))
    client = site(Cache(http=True), view=origin, clock=clock)
    client.get("/a")
    clock.advance(60)
    answer = client.get("/a", headers={"if-none-match": '"v0"', "if-modified-since": date(-99)})
    assert (answer.status, answer.body) == (200, b"run 1")
    assert origin.seen[1].headers.get_all("if-none-match") == ['"v1"']
    assert origin.seen[1].headers.get_all("if-modified-since") == [date(-9)]


def test_rfc9111_4_3_1_an_etag_of_our_own_is_nobody_s_but_ours(site: Any) -> None:
    clock = FakeClock()
    origin = Origin(Says([FRESH]))
    client = site(Cache(http=True), view=origin, clock=clock)
    client.get("/a")
    assert client.get("/a").headers.get("etag") is not None
    clock.advance(60)
    client.get("/a")
    assert origin.seen[1].headers.get("if-none-match") is None


def test_rfc9111_4_the_app_says_nothing_and_the_ttl_does(site: Any) -> None:
    clock = FakeClock()
    origin = Origin(Says())
    client = site(Cache(ttl=30, http=True), view=origin, clock=clock)
    client.get("/a")
    clock.advance(29)
    assert client.get("/a").headers.get("cache-status") == "gatekeep; hit; ttl=1"
    clock.advance(1)
    client.get("/a")
    assert origin.runs == 2


def test_rfc9111_4_a_longest_lifetime_is_kept_to(site: Any) -> None:
    clock = FakeClock()
    client = site(Cache(http=True, max_ttl=10), view=Origin(Says([FRESH])), clock=clock)
    client.get("/a")
    assert client.get("/a").headers.get("cache-status") == "gatekeep; hit; ttl=10"


def test_rfc9111_5_2_1_clients_that_may_not_are_not_obeyed(site: Any) -> None:
    origin = Origin(Says([FRESH]))
    client = site(Cache(http=True), view=origin, clock=FakeClock())
    client.get("/a")
    for control in ("no-cache", "max-age=0", "min-fresh=100"):
        assert client.get("/a", headers={"cache-control": control}).body == b"run 1"
    assert client.get("/a", headers={"pragma": "no-cache"}).body == b"run 1"
    assert client.get("/a", headers={"cache-control": "no-cache, only-if-cached"}).body == b"run 1"
    assert origin.runs == 1


def test_rfc9111_a_request_with_a_cookie_is_served_from_what_is_public(site: Any) -> None:
    origin = Origin(Says([FRESH]))
    client = site(Cache(http=True), view=origin)
    client.get("/a", headers={"cookie": "a=1"})
    assert client.get("/a", headers={"cookie": "a=2"}).body == b"run 1"
