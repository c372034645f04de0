"""AWS' parameter mapping, parsed to the operations of this package.

Both notations: that of HTTP APIs ("overwrite:header.x": "$request.header.y") and that of REST APIs
("integration.request.header.x": "method.request.querystring.y"). What AWS would refuse is refused here, at start-up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ...component import caller
from ...errors import ConfigurationError
from .aws_headers import answer_header
from .operations import (
    Operation,
    add_header,
    add_query,
    map_status,
    remove_header,
    remove_query,
    rewrite_path,
    set_header,
    set_query,
)

__all__ = ["parameter_mapping"]


def parameter_mapping(mapping: Mapping[str, str]) -> tuple[Operation, ...]:
    """The operations that an AWS `requestParameters` or `responseParameters` map stands for, for a list of a Transform.

    Raises ConfigurationError for what AWS refuses, such as a reserved header, and for a source that exists in AWS only.
    """
    operations = []
    for key, value in mapping.items():
        try:
            operations.append(_operation(key, value))
        except ValueError as error:
            raise ConfigurationError(f"parameter_mapping: {key!r}: {error}", origin=caller()) from None
    # The status last: what is mapped beside it is for the answer as the app gave it.
    return tuple(sorted(operations, key=lambda operation: operation.kind == "map_status"))


def _operation(key: str, value: str) -> Operation:
    if not isinstance(key, str) or not isinstance(value, str):
        raise ValueError("keys and values are texts")  # noqa: TRY004 - a mistake in a spec, as the others
    for pattern, notation in ((_HTTP_KEY, _of_http_api), (_REST_KEY, _of_rest_api)):
        match = pattern.fullmatch(key)
        if match:
            return notation(match, value)
    raise ValueError("it is neither like overwrite:header.x nor like integration.request.header.x")


# HTTP APIs: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html

_HTTP_KEY = re.compile(r"(append|overwrite|remove):(?:(header|querystring)\.(.+)|(path|statuscode))", re.DOTALL)

_RESERVED = re.compile(
    r"access-control-.*|apigw-.*|authorization|connection|content-encoding|content-length|content-location|forwarded|keep-alive"
    r"|origin|proxy-authenticate|proxy-authorization|te|trailers|transfer-encoding|upgrade|x-amz-.*|x-amzn-.*|x-forwarded-for"
    r"|x-forwarded-host|x-forwarded-proto|via",
    re.IGNORECASE,
)

_MAKERS: Mapping[tuple[str, str], Callable[[str, str], Operation]] = {
    ("append", "header"): add_header,
    ("append", "querystring"): add_query,
    ("overwrite", "header"): set_header,
    ("overwrite", "querystring"): set_query,
    ("remove", "header"): lambda name, _: remove_header(name),
    ("remove", "querystring"): lambda name, _: remove_query(name),
}


def _of_http_api(match: re.Match[str], value: str) -> Operation:
    action, place, name, single = match.groups()
    if single is not None:
        if action != "overwrite":
            raise ValueError(f"{single} can only be overwritten")
        return _status(value) if single == "statuscode" else rewrite_path(_path(_http_text(value)))
    if place == "header" and _RESERVED.fullmatch(name):
        raise ValueError(f"{name} is reserved")
    if action == "remove" and value not in ("", "''"):
        raise ValueError("remove takes no value: ''")
    return _MAKERS[action, place](name, _http_text(value))


def _status(value: str) -> Operation:
    if not re.fullmatch(r"[2-5]\d\d", value, re.ASCII):
        raise ValueError(f"{value!r} is not a status")
    return map_status({r"[2-5]\d\d": int(value)})


def _path(text: str) -> str:
    return text if text.startswith(("/", "${request.path}")) else f"/{text}"


_WHOLE = re.compile(r"\$((?:request|response|context|stageVariables)\.[^${}]+)")
_PART = re.compile(r"\$\{([^{}]*)\}")


def _http_text(value: str) -> str:
    whole = _WHOLE.fullmatch(value)
    if whole:
        return _expression(whole[1])
    return _PART.sub(lambda match: _expression(match[1].strip()), value)


# REST APIs: https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-reference.html

_REST_KEY = re.compile(
    r"(?:integration\.request\.(header|querystring|path)|method\.response\.(header)|gatewayresponse\.(header))\.(.+)", re.DOTALL
)
_ILLEGAL = frozenset({"content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"})
"""To which AWS answers 500, whatever the integration."""
_STATIC = re.compile(r"'(.*)'", re.DOTALL)


def _of_rest_api(match: re.Match[str], value: str) -> Operation:
    place, name = match[1] or match[2] or match[3], match[4]
    if match[3]:
        raise ValueError("answers of the gateway's own are not mapped here")
    if match[1] == "header" and name.lower() in _ILLEGAL:
        raise ValueError(f"AWS answers 500 where {name} is mapped")
    static = _STATIC.fullmatch(value)
    text = static[1].replace("${", "$${") if static else _expression(value)
    if place == "path":
        return Operation("fill_path", name, text)
    if place == "querystring":
        return set_query(name, text)
    return set_header(answer_header(name) if match[2] else name, text)


# Sources, of both.

_REST_SOURCE = re.compile(r"(method\.request|integration\.response)\.(.+)", re.DOTALL)

_SOURCES: Mapping[str, str] = {
    "request.path": "request.path",
    "request.body": "request.body",
    "response.body": "response.body",
    "context.authorizer.principalId": "principal.id",
    "context.authorizer.jwt.scopes": "principal.scopes",
    "context.domainName": "request.host",
    "context.httpMethod": "request.method",
    "context.identity.sourceIp": "client",
    "context.identity.userAgent": "request.header.user-agent",
    "context.extendedRequestId": "request_id",
    "context.path": "request.path",
    "context.protocol": "request.protocol",
    "context.requestId": "request_id",
    "context.requestTime": "time.clf",
    "context.requestTimeEpoch": "time.epoch_ms",
    "context.resourcePath": "route",
    "context.stage": "stage.name",
}
_NAMED_SOURCES: Mapping[str, str] = {
    "request.header.": "request.header.",
    "request.multivalueheader.": "request.header.",
    "request.querystring.": "request.queries.",
    "request.multivaluequerystring.": "request.queries.",
    "request.path.": "path.",
    "request.body.": "request.body.",
    "response.header.": "response.header.",
    "response.multivalueheader.": "response.header.",
    "response.body.": "response.body.",
    "context.authorizer.claims.": "principal.claims.",
    "context.authorizer.jwt.claims.": "principal.claims.",
    "context.authorizer.": "principal.claims.",
    "stageVariables.": "stage.variables.",
}
# Of several values of a parameter a REST API takes the last one, an HTTP API all with commas between them.
_REST_SOURCES = {**_NAMED_SOURCES, "request.querystring.": "request.query."}
_CONTEXT_NAME = re.compile(r"[\w.]+", re.ASCII)
_NAMES_AND_INDEXES = re.compile(r"[\w-]+(?:\.[\w-]+|\[\d+\])*", re.ASCII)
_INDEX = re.compile(r"\[(\d+)\]", re.ASCII)


def _expression(source: str) -> str:
    """Our expression for a source of AWS'. Raises ValueError."""
    rest = _REST_SOURCE.fullmatch(source)
    named = _NAMED_SOURCES
    if rest:
        source, named = f"{rest[1].partition('.')[2]}.{rest[2]}", _REST_SOURCES
    if source in _SOURCES:
        return f"${{{_SOURCES[source]}}}"
    if source.startswith("context.") and not _CONTEXT_NAME.fullmatch(source):
        raise ValueError(f"{source!r}: names in the context hold letters, digits, _ and . only")
    for prefix, ours in named.items():
        name = source.removeprefix(prefix)
        if name != source and name:
            if ".body." in prefix and rest and not _NAMES_AND_INDEXES.fullmatch(name):
                return f"${{{ours.removesuffix('.')}$.{name}}}"  # a JSONPath
            return f"${{{ours}{_body_path(name) if '.body.' in prefix else name}}}"
    raise ValueError(f"{source!r} is no source that there is here")


def _body_path(path: str) -> str:
    steps = _INDEX.sub(r".\1", path.removeprefix("$.").removeprefix("$"))
    if ".." in f".{path}" or any(mark in steps for mark in "[]*?@()"):
        raise ValueError(f"{path!r}: a path into a body has neither .. nor filters nor wildcards")
    return steps.removeprefix(".")
