"""Policy documents: wildcards, variables, conditions, who and what a statement is about, and documents that are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.iam import PolicyDocument
from gatekeep.iam.pattern import ArnPattern, Pattern
from pace import allowed

ARN = "arn:aws:execute-api:local:000000000000:gatekeep/live/GET/orders/7"
INVOKE = "execute-api:Invoke"


def allow(resource="*", **elements):
    return {"Effect": "Allow", "Action": INVOKE, "Resource": resource, **elements}


def deny(resource="*", **elements):
    return {**allow(resource, **elements), "Effect": "Deny"}


def policy(*statements, version="2012-10-17", principals=False):
    return PolicyDocument({"Version": version, "Statement": list(statements)}, principals=principals)


def says(*statements, resource=ARN, facts=(), **options):
    return policy(*statements, **options).evaluate(INVOKE, resource, dict(facts))


# Patterns.


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "", True),
        ("*", "a/b\nc", True),
        ("a", "a", True),
        ("a", "A", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a*c", "ac", True),
        ("a*c", "abbc", True),
        ("a*c", "abcd", False),
        ("*a", "aa", True),
        ("ab*ba", "aba", False),
        ("*a*b*", "xxaxxbxx", True),
        ("*a*b*", "ba", False),
        ("*?", "", False),
        ("*?", "x", True),
        ("a.c", "abc", False),
        ("${$}{x}", "${x}", True),
        ("${*}", "*", True),
        ("${*}", "x", False),
        ("${who}/*", "alice/x", True),
        ("${who}/*", "bob/x", False),
        ("${nobody}", "", False),
        ("${nobody, 'x'}", "x", True),
        ("${many}", "a", False),
        ("${star}", "anything", False),
        ("${star}", "*", True),
    ],
)
def test_patterns(pattern, text, matches):
    facts = {"who": "alice", "many": ["a", "b"], "star": "*"}
    assert Pattern(pattern).matches(text, facts) is matches


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=12))
def test_a_pattern_matches_what_its_regular_expression_does(pattern, text):
    import re

    regex = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern)
    assert Pattern(pattern).matches(text, {}) is (re.fullmatch(regex, text, re.DOTALL) is not None)


def test_no_text_keeps_a_pattern_busy():
    pattern = Pattern("*a" * 30 + "c")
    started = time.process_time()
    assert not pattern.matches("a" * 60_000 + "b", {})
    assert allowed(0.5, time.process_time() - started)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        ("arn:aws:execute-api:*", True),
        ("arn:aws:execute-api:*:*:*", True),
        ("arn:aws:execute-api:*:*:gatekeep/*/GET/orders/?", True),
        ("arn:aws:execute-api:*:*:other/*", False),
        ("arn:aws:s3:*", False),
        ("arn:*:gatekeep/live/*", False),
        ("arn:aws:execute-api:local:${acct}:gatekeep/live/*", True),
        ("arn:aws:execute-api:local:${aws:none}:gatekeep/live/*", False),
    ],
)
def test_arns(pattern, matches):
    assert ArnPattern(pattern).matches(ARN, {"acct": "000000000000"}) is matches


def test_a_colon_in_a_path_is_no_other_part_of_an_arn():
    crafted = "arn:aws:execute-api:local:000000000000:gatekeep/live/GET/x:other/live/GET/y"
    assert not ArnPattern("arn:aws:execute-api:*:*:other/*").matches(crafted, {})


# Documents.


def test_nothing_said_is_a_denial():
    assert says() is None
    assert says(allow("arn:aws:execute-api:*:*:gatekeep/live/POST/*")) is None


def test_a_deny_wins_wherever_it_stands():
    assert says(allow()) == "allow"
    assert says(allow(), deny("arn:aws:execute-api:*:*:*/orders/*")) == "deny"
    assert says(deny("arn:aws:execute-api:*:*:*/orders/*"), allow()) == "deny"


def test_one_statement_needs_no_list():
    assert PolicyDocument({"Statement": allow()}, principals=False).evaluate(INVOKE, ARN, {}) == "allow"


def test_actions_and_their_opposites():
    for action in ("execute-api:Invoke", "EXECUTE-API:invoke", "execute-api:*", "*", ["s3:Get", "execute-api:Inv?ke"]):
        assert says({"Effect": "Allow", "Action": action, "Resource": "*"}) == "allow"
    assert says({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}) is None
    assert says({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}) == "allow"
    assert says({"Effect": "Allow", "NotAction": "execute-api:*", "Resource": "*"}) is None


def test_resources_and_their_opposites():
    other = "arn:aws:execute-api:*:*:gatekeep/live/*/admin/*"
    assert says({"Effect": "Allow", "Action": "*", "NotResource": other}) == "allow"
    assert says({"Effect": "Allow", "Action": "*", "NotResource": [other, "*"]}) is None


def test_what_a_deny_says_of_any_name_of_the_resource_holds():
    document = policy(allow(), deny("arn:aws:execute-api:*:*:gatekeep/live/GET/admin"))
    slashed = "arn:aws:execute-api:local:000000000000:gatekeep/live/GET/admin/"
    assert document.evaluate(INVOKE, slashed, {}) == "allow"
    assert document.evaluate(INVOKE, slashed, {}, also=lambda: [slashed.rstrip("/")]) == "deny"
    only = policy(allow("arn:aws:execute-api:*:*:gatekeep/live/GET/admin"))
    assert only.evaluate(INVOKE, slashed, {}, also=lambda: [slashed.rstrip("/")]) is None


def test_variables_are_of_the_newer_version():
    mine = "arn:aws:execute-api:*:*:gatekeep/live/GET/${aws:username}"
    resource = "arn:aws:execute-api:local:000000000000:gatekeep/live/GET/alice"
    assert says(allow(mine), resource=resource, facts={"aws:username": "alice"}) == "allow"
    assert says(allow(mine), resource=resource, facts={"aws:username": "*"}) is None
    assert says(allow(mine), resource=resource, facts={"aws:username": "alice"}, version="2008-10-17") is None


def test_principals():
    document = policy(
        allow(Principal={"AWS": ["alice", "bob"]}),
        deny(Principal={"AWS": "bob"}, Resource="*"),
        principals=True,
    )
    assert document.named == {"alice", "bob"}
    assert [document.evaluate(INVOKE, ARN, {}, principals=[who]) for who in ("alice", "bob", "eve")] == ["allow", "deny", None]
    assert policy(allow(Principal="*"), principals=True).evaluate(INVOKE, ARN, {}) == "allow"
    assert policy(allow(Principal={"AWS": "*"}), principals=True).evaluate(INVOKE, ARN, {}) == "allow"
    document = policy(allow(Principal="*"), deny(NotPrincipal={"AWS": "alice"}), principals=True)
    assert [document.evaluate(INVOKE, ARN, {}, principals=[who]) for who in ("alice", "eve")] == ["allow", "deny"]


def test_short_resources_are_written_out():
    document = PolicyDocument(
        {"Statement": [allow("execute-api:/live/GET/*", Principal="*")]},
        principals=True,
        expand={"execute-api:/": "arn:aws:execute-api:local:000000000000:gatekeep/"},
    )
    assert document.evaluate(INVOKE, ARN, {}) == "allow"
    assert document.evaluate(INVOKE, ARN.replace("GET", "PUT"), {}) is None


# Conditions.


FACTS = {
    "aws:sourceip": "10.1.2.3",
    "aws:currenttime": "2026-05-01T12:00:00Z",
    "aws:epochtime": "1777636800",
    "aws:securetransport": "true",
    "aws:referer": "https://example.com/a",
    "level": "7",
    "tags": ["a", "b"],
    "arn": "arn:aws:iam::1:user/alice",
    "odd": "x",
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"AWS:Referer": "https://example.com/a"}}, True),
        ({"StringEquals": {"aws:Referer": "https://example.com/*"}}, False),
        ({"StringEquals": {"aws:Referer": ["x", "https://example.com/a"]}}, True),
        ({"StringEquals": {"none": "x"}}, False),
        ({"StringEqualsIfExists": {"none": "x"}}, True),
        ({"StringEqualsIfExists": {"odd": "y"}}, False),
        ({"StringNotEquals": {"none": "x"}}, True),
        ({"StringNotEquals": {"odd": ["y", "x"]}}, False),
        ({"StringNotEquals": {"odd": ["y", "z"]}}, True),
        ({"StringEqualsIgnoreCase": {"odd": "X"}}, True),
        ({"StringNotEqualsIgnoreCase": {"odd": "X"}}, False),
        ({"StringEqualsIgnoreCase": {"odd": "${ODD}"}}, True),
        ({"StringLike": {"aws:Referer": "https://*.com/?"}}, True),
        ({"StringNotLike": {"aws:Referer": "https://*"}}, False),
        ({"StringLike": {"odd": "${level}"}}, False),
        ({"NumericEquals": {"level": 7}}, True),
        ({"NumericNotEquals": {"level": "7"}}, False),
        ({"NumericLessThan": {"level": "7"}}, False),
        ({"NumericLessThanEquals": {"level": 7.0}}, True),
        ({"NumericGreaterThan": {"level": 6}}, True),
        ({"NumericGreaterThanEquals": {"level": 8}}, False),
        ({"NumericEquals": {"odd": 7}}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2026-05-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2026-05-01"}}, False),
        ({"DateLessThanEquals": {"aws:EpochTime": "2026-05-01T12:00:00Z"}}, True),
        ({"DateNotEquals": {"aws:EpochTime": 1777636800}}, False),
        ({"DateEquals": {"odd": "2026-05-01"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"Bool": {"aws:SecureTransport": False}}, False),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "10.1.2.3"]}}, True),
        ({"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, True),
        ({"IpAddress": {"odd": "10.0.0.0/8"}}, False),
        ({"ArnLike": {"arn": "arn:aws:iam::*:user/*"}}, True),
        ({"ArnNotLike": {"arn": "arn:aws:iam::*:role/*"}}, True),
        ({"ArnEquals": {"arn": "arn:aws:iam::2:user/alice"}}, False),
        ({"ArnNotEquals": {"arn": "arn:aws:iam::2:user/alice"}}, True),
        ({"Null": {"none": True}}, True),
        ({"Null": {"odd": "true"}}, False),
        ({"Null": {"odd": "false"}}, True),
        ({"ForAnyValue:StringEquals": {"tags": ["b", "c"]}}, True),
        ({"ForAnyValue:StringEquals": {"tags": "c"}}, False),
        ({"ForAnyValue:StringEquals": {"none": "c"}}, False),
        ({"ForAnyValue:StringNotEquals": {"tags": "a"}}, True),
        ({"ForAnyValue:StringNotEquals": {"none": "a"}}, False),
        ({"ForAllValues:StringEquals": {"tags": ["a", "b", "c"]}}, True),
        ({"ForAllValues:StringEquals": {"tags": ["a"]}}, False),
        ({"ForAllValues:StringEquals": {"none": "a"}}, True),
        ({"ForAllValues:StringNotEquals": {"tags": "a"}}, False),
        ({"StringEquals": {"tags": "b"}}, True),
        ({"StringNotEquals": {"tags": "b"}}, False),
        ({"StringEquals": {"odd": "x"}, "Bool": {"aws:SecureTransport": "false"}}, False),
        ({"StringEquals": {"odd": "x", "level": "8"}}, False),
        ({}, True),
    ],
)
def test_conditions(condition, holds):
    assert says(allow(Condition=condition), facts=FACTS) == ("allow" if holds else None)


# What is no document.


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{}", "is an object"),
        ({"Statement": [], "More": 1}, "no 'More'"),
        ({"Version": "2012-10-18", "Statement": []}, "no Version"),
        ({}, "has a Statement"),
        ({"Statement": "x"}, "has a Statement"),
        ({"Statement": ["x"]}, "statement is an object"),
        ({"Statement": [{**allow(), "Extra": 1}]}, "no 'Extra'"),
        ({"Statement": [{**allow(), "Principal": "*"}]}, "no 'Principal'"),
        ({"Statement": [{**allow(), "Effect": "allow"}]}, "neither Allow nor Deny"),
        ({"Statement": [{"Effect": "Allow", "Resource": "*"}]}, "has an Action"),
        ({"Statement": [{"Effect": "Allow", "Action": "*"}]}, "has a Resource"),
        ({"Statement": [{**allow(), "NotAction": "*"}]}, "either Action or NotAction"),
        ({"Statement": [{**allow(), "Action": [None]}]}, "neither a string"),
        ({"Version": "2012-10-17", "Statement": [allow("${a b}")]}, "not a policy variable"),
        ({"Statement": [allow(Condition=[])]}, "Condition is"),
        ({"Statement": [allow(Condition={"StringEquals": "x"})]}, "no object of condition keys"),
        ({"Statement": [allow(Condition={"StringIs": {"a": "b"}})]}, "no condition operator 'StringIs'"),
        ({"Statement": [allow(Condition={"ForSome:StringEquals": {"a": "b"}})]}, "no condition operator"),
        ({"Statement": [allow(Condition={"IpAddress": {"a": "b"}})]}, "does not appear to be"),
        ({"Statement": [allow(Condition={"Bool": {"a": "b"}})]}, "neither true nor false"),
        ({"Statement": [allow(Condition={"NumericEquals": {"a": "b"}})]}, "could not convert"),
        ({"Statement": [allow(Condition={"DateEquals": {"a": "b"}})]}, "Invalid isoformat"),
    ],
)
def test_what_is_no_document(document, says):
    with pytest.raises(ValueError, match=says):
        PolicyDocument(document, principals=False)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (allow(), "has a Principal"),
        (allow(Principal="alice"), "neither"),
        (allow(NotPrincipal={"AWS": "alice"}), "let in everybody"),
    ],
)
def test_what_is_no_resource_policy(statement, says):
    with pytest.raises(ValueError, match=says):
        policy(statement, principals=True)
