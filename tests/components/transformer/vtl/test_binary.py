"""AWS' rules for bodies that are bytes. The letter in an id says how the row is known: S recorded, D documented."""

from __future__ import annotations

import base64

import pytest

from gatekeep import Transform, map_body, vtl
from gatekeep.components.transformer.vtl.binary import is_listed

BYTES = b"\x89PNG\xff"
TEXT = BYTES.decode(errors="replace").encode()
ENCODED = base64.b64encode(BYTES)
LISTED = ["image/png"]


@pytest.mark.parametrize(
    ("value", "types", "listed"),
    [
        pytest.param("image/png", ["image/png"], True, id="D-equal"),
        pytest.param("Image/PNG; q=1", ["image/png"], True, id="D-without-parameters"),
        pytest.param("image/png", ["*/*"], True, id="D-all"),
        pytest.param("image/png", ["image/*"], True, id="D-all-of-a-kind"),
        pytest.param("image/png", ["*/png"], False, id="S-any-kind-never-matches"),
        pytest.param("image/*", ["image/png"], False, id="S-accept-of-a-kind-is-not-one-of-it"),
        pytest.param("text/html, image/png", ["image/png"], False, id="S-first-accept-counts"),
        pytest.param("image/png, text/html", ["image/png"], True, id="S-first-accept-matches"),
        pytest.param("", ["*/*"], False, id="D-nothing"),
        pytest.param("image/png", [], False, id="D-empty-list"),
    ],
)
def test_what_is_in_the_list(value, types, listed):
    assert is_listed(value, types) is listed


REQUESTS = [
    ("S-text-undefined", "text/plain", None, BYTES, TEXT),
    ("D-text-to-binary", "text/plain", "CONVERT_TO_BINARY", ENCODED, BYTES),
    ("D-text-to-binary-fails", "text/plain", "CONVERT_TO_BINARY", BYTES, 500),
    ("D-text-to-text", "text/plain", "CONVERT_TO_TEXT", BYTES, TEXT),
    ("D-bytes-undefined", "image/png", None, BYTES, BYTES),
    ("D-bytes-to-binary", "image/png", "convert_to_binary", BYTES, BYTES),
    ("D-bytes-to-text", "image/png", "convert_to_text", BYTES, ENCODED),
]


@pytest.mark.parametrize(("kind", "handling", "body", "wanted"), [pytest.param(*row[1:], id=row[0]) for row in REQUESTS])
def test_requests(site, kind, handling, body, wanted):
    seen = []

    def view(request):
        seen.append(request.body)
        return 200, [], b""

    client = site(Transform(request=[map_body(vtl({}, binary=LISTED, handling=handling))]), view=view)
    answer = client.post("/", headers={"content-type": kind}, body=body)
    assert (seen[0] if seen else answer.status) == wanted


ANSWERS = [
    ("text/plain", "text/html", (TEXT, BYTES, TEXT)),
    ("text/plain", "image/png", (BYTES, BYTES, TEXT)),
    ("image/png", "text/html", (ENCODED, BYTES, ENCODED)),
    ("image/png", "image/png", (BYTES, BYTES, ENCODED)),
]
"""By what is in the list (its type, the Accept): undefined, CONVERT_TO_BINARY, CONVERT_TO_TEXT."""


@pytest.mark.parametrize("column", [0, 1, 2], ids=["D-undefined", "D-to-binary", "D-to-text"])
@pytest.mark.parametrize(("kind", "accept", "wanted"), ANSWERS)
def test_answers(site, kind, accept, wanted, column):
    handling = (None, "CONVERT_TO_BINARY", "CONVERT_TO_TEXT")[column]
    # What is to be decoded is Base64, where its type is not in the list.
    decoded = kind == "text/plain" and wanted[column] == BYTES
    client = site(
        Transform(response=[map_body(vtl({}, binary=LISTED, handling=handling))]),
        view=lambda _: (200, [("content-type", kind), ("etag", '"1"')], ENCODED if decoded else BYTES),
    )
    answer = client.get("/", headers={"accept": accept})
    assert answer.body == wanted[column]
    assert answer.headers.get("content-type") == kind
    assert ("etag" in answer.headers) is (answer.body == BYTES and not decoded)
    assert answer.headers.get("vary") == "accept"


def test_base64_that_is_none_is_a_500__D(site):
    client = site(
        Transform(response=[map_body(vtl({}, handling="convert_to_binary"))]),
        view=lambda _: (200, [("content-type", "text/plain")], b"not base64!"),
    )
    assert client.get("/").status == 500


def test_without_a_list_bodies_that_meet_no_template_pass_as_they_are(site):
    client = site(
        Transform(request=[map_body(vtl({}))], response=[map_body(vtl({}))]),
        view=lambda request: (200, [("content-type", "text/plain")], request.body),
    )
    assert client.post("/", headers={"content-type": "text/plain"}, body=BYTES).body == BYTES


@pytest.mark.parametrize("side", ["request", "response"], ids=["D-request", "E-response"])
def test_no_template_runs_on_bytes(site, side):
    templates = {"image/png": "<$input.body>"}

    def client(handling):
        return site(
            Transform(**{side: [map_body(vtl(templates, binary=LISTED, handling=handling))]}),
            view=lambda request: (200, [("content-type", "image/png")], request.body or BYTES),
        )

    headers = {"content-type": "image/png", "accept": "image/png"}
    assert client(None).post("/", headers=headers, body=BYTES).status == 500
    assert client("convert_to_text").post("/", headers=headers, body=BYTES).body == b"<" + ENCODED + b">"
