"""How refusals are put: problem+json (RFC 9457), and the words of AWS API Gateway."""

from __future__ import annotations

import json

import pytest

from gatekeep import errors
from gatekeep.answers import aws, problem
from gatekeep.errors import BadRequest, Denied, Forbidden, Invalid, NotFound, Throttled, Unauthorized
from gatekeep.message import Headers, RawHeaders
from probes import lined_up, probe

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Denied) and kind is not Denied]

EXPIRED = Unauthorized("x", code="token_expired")


@pytest.mark.parametrize("form", [Headers, RawHeaders])
class TestProblem:
    def test_its_members(self, form):
        answer = problem(Forbidden("No.", code="nope", headers=[("x-why", "no")]), "id-1", form())
        assert json.loads(answer.body) == {
            "type": "about:blank",
            "title": "Forbidden",
            "status": 403,
            "detail": "No.",
            "code": "nope",
            "request_id": "id-1",
        }
        assert answer.status == 403
        assert answer.headers.get("content-type") == "application/problem+json"
        assert answer.headers.get("content-length") == str(len(answer.body))
        assert answer.headers.get("x-why") == "no"

    def test_without_a_detail_there_is_none(self, form):
        assert "detail" not in json.loads(problem(NotFound(), "", form()).body)

    def test_violations_are_listed_whatever_they_hold(self, form):
        found = [{"pointer": "/näme", "detail": 'is "odd"'}, {"pointer": "/\ud800"}]
        answer = problem(Invalid("Wrong.", errors=found), "id-1", form())
        assert json.loads(answer.body)["errors"][0] == found[0]
        assert answer.headers.get("content-length") == str(len(answer.body))

    def test_a_detail_of_any_text_stays_json(self, form):
        assert json.loads(problem(BadRequest('a "quote"\n\u20ac'), "", form()).body)["detail"] == 'a "quote"\n\u20ac'


@pytest.mark.parametrize("form", [Headers, RawHeaders])
class TestAws:
    @pytest.mark.parametrize(
        ("denied", "status", "kind", "body"),
        [
            (NotFound("x"), 403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"}),
            (
                Unauthorized("x", code="token_expired"),
                401,
                "UnauthorizedException",
                {"message": "The incoming token has expired"},
            ),
            (Unauthorized("x"), 401, "UnauthorizedException", {"message": "Unauthorized"}),
            (Unauthorized("x", code="api_key_missing"), 403, "ForbiddenException", {"message": "Forbidden"}),
            (Forbidden("x"), 403, "AccessDeniedException", {"Message": "User is not authorized to access this resource"}),
            (Throttled("x"), 429, "TooManyRequestsException", {"message": "Too Many Requests"}),
            (Throttled("x", code="quota_exceeded"), 429, "LimitExceededException", {"message": "Limit Exceeded"}),
            (Invalid("x"), 400, "BadRequestException", {"message": "Invalid request body"}),
            (
                Invalid("x", errors=[{"in": "query", "name": "page"}, {"in": "header", "pointer": "/x-a"}, {"in": "body"}]),
                400,
                "BadRequestException",
                {"message": "Missing required request parameters: [x-a, page]"},
            ),
            (errors.NotGuarded("x"), 500, "InternalServerErrorException", {"message": "Internal server error"}),
            (errors.Unavailable("x"), 503, "ServiceUnavailableException", {"message": "Service Unavailable"}),
        ],
    )
    def test_its_words(self, form, denied, status, kind, body):
        answer = aws(denied, "id-1", form())
        assert answer.status == status
        assert json.loads(answer.body) == body
        assert answer.headers.get("x-amzn-errortype") == kind
        assert answer.headers.get("x-amzn-requestid") == "id-1"
        assert answer.headers.get("content-length") == str(len(answer.body))

    def test_no_challenge_is_sent_other_headers_are(self, form):
        answer = aws(Unauthorized("x", headers=[("WWW-Authenticate", "Bearer"), ("x-why", "no")]), "id-1", form())
        assert "www-authenticate" not in answer.headers
        assert answer.headers.get("x-why") == "no"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("style", ["problem", "aws"])
def test_every_refusal_reaches_the_client_with_its_status(site, kind, style):
    def refuse(exchange):
        raise kind("Because.")

    refuser = probe("refuser", request=refuse)
    answer = site(refuser.spec, errors=style, **lined_up(refuser)).get("/")
    assert 400 <= answer.status < 600
    assert answer.headers.get("x-request-id") is not None
    if style == "problem":
        assert answer.status == kind.status
        assert answer.json()["code"] == kind.code
        assert answer.json()["title"] == kind.title
    assert str(kind("Because.")) == f"{kind.status} {kind.code}: Because."


def test_the_codes_are_as_different_as_the_kinds():
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    ("code", "status", "error_type"),
    [
        ("signature_missing", 403, "MissingAuthenticationTokenException"),
        ("signature_malformed", 403, "IncompleteSignatureException"),
        ("unsupported_signature", 403, "IncompleteSignatureException"),
        ("unknown_access_key", 403, "UnrecognizedClientException"),
        ("session_token_expired", 403, "ExpiredTokenException"),
        ("signature_expired", 403, "InvalidSignatureException"),
        ("signature_mismatch", 403, "InvalidSignatureException"),
        ("payload_mismatch", 403, "InvalidSignatureException"),
        ("api_key_expired", 403, "ForbiddenException"),
        ("invalid_signature", 401, "UnauthorizedException"),
    ],
)
def test_signatures_and_keys_in_the_words_of_aws(code, status, error_type):
    response = aws(Unauthorized("no", code=code, headers=[("www-authenticate", "AWS4-HMAC-SHA256")]), "id", Headers())
    assert (response.status, response.headers.get("x-amzn-errortype")) == (status, error_type)
    assert response.headers.get("www-authenticate") is None


def test_refusals_that_aws_has_no_words_for_keep_their_status():
    class NotAcceptable(Denied):
        status, code, title = 406, "not_acceptable", "Not Acceptable"

    answer = aws(NotAcceptable("no"), "id", Headers())
    assert (answer.status, answer.headers.get("x-amzn-errortype")) == (406, "BadRequestException")
    assert answer.body == b'{"message":"Not Acceptable"}'
