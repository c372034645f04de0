"""The Validate spec: the shape of the requests that a route takes, and of its answers."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from ... import strict_json
from ...component import Plan, Spec
from ...errors import to_install
from .aws import AwsRules
from .documents import SchemaMistake
from .encodings import ENCODINGS, is_available
from .media import Bounds
from .openapi import OpenApi, Operation
from .operations import rules_of
from .rules import Making, Rules, rules
from .schema import DRAFTS, Source

__all__ = ["Validate"]

_log = logging.getLogger("gatekeep")

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/(?:[\w!#$&^.+-]+|\*)|\*/\*|\$default", re.ASCII)
_STATUS = re.compile(r"[1-5](?:\d\d|XX|xx)|default", re.ASCII)
_DEEPEST = 128
MAX_BODY = 1024 * 1024
MAX_VALUES = 20_000
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "security": ("gateway", "app"),
    "unknown_query": ("pass", "refuse"),
}


@dataclass(frozen=True)
class Validate(Spec):
    """Refuse what does not fit, with every violation: 400 `invalid_request`, 413, 414, 415 or 431.

    A schema is a JSON Schema, a path of a file that holds one, a pydantic model, a dataclass or a msgspec type. `body` is for
    every media type of `content_types`; `content` gives one each. `query`, `path`, `headers` and `cookies` are of type
    "object", or short: a mapping of names to schemas. `response` is for answers with 2xx, or a mapping by status. `openapi` is
    a document, its path, a function that gives one, or True for the app's own. The strongest Validate on a route is the only one.
    """

    replaces: ClassVar[bool] = True

    body: Any = None
    query: Any = None
    path: Any = None
    headers: Any = None
    cookies: Any = None
    content: Mapping[str, Any] = field(default_factory=dict)
    response: Any = None
    openapi: Any = None
    content_types: Sequence[str] = ("application/json",)
    draft: str = "2020-12"
    schemas: Mapping[str, Any] = field(default_factory=dict)
    formats: bool | None = None
    unknown_query: Literal["pass", "refuse"] = "pass"
    answers: Literal["report", "refuse"] | None = None
    security: Literal["gateway", "app"] = "gateway"
    secrets: Collection[str] = ()
    encodings: Sequence[str] = ("gzip", "deflate")
    max_ratio: float = 100.0
    max_body: int = MAX_BODY
    max_depth: int = strict_json.MAX_DEPTH
    max_values: int = MAX_VALUES
    max_url: int = 8_192
    max_headers: int = 100
    max_header_bytes: int = 16_384
    aws: bool = False

    def check(self) -> None:
        self._check_choices()
        self._check_bounds()
        declared = [self.body, self.query, self.path, self.headers, self.cookies, self.response]
        if self.openapi is None and all(part is None for part in declared) and not self.content:
            if self.unknown_query == "pass":
                raise self.mistake("it checks nothing", fix="give a body, a part of the request, a response or openapi")
        elif self.openapi not in (None, False) and (self.content or any(part is not None for part in declared)):
            raise self.mistake("openapi says it all", fix="put another Validate on the routes that differ")
        if self.openapi is None or self.openapi is False:
            _ = self.rules  # so that a bad schema is named where it is written
        elif not (self.openapi is True or callable(self.openapi)):
            _ = self._document

    def _check_choices(self) -> None:
        if self.draft not in DRAFTS:
            raise self.mistake(f"draft={self.draft!r} is none of {', '.join(DRAFTS)}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise self.mistake(f"{name}={getattr(self, name)!r} is none of {', '.join(allowed)}")
        if self.answers not in (None, "report", "refuse"):
            raise self.mistake(f"answers={self.answers!r} is none of report, refuse")
        for name in ("content_types", "encodings", "secrets"):
            if isinstance(getattr(self, name), str):
                raise self.mistake(f"{name} is a string", fix=f"{name}=[{getattr(self, name)!r}]")
        for name in ("content", "schemas"):
            if not isinstance(getattr(self, name), Mapping):
                raise self.mistake(f"{name} is not a mapping")
        for media_type in (*self.content_types, *self.content):
            if not _MEDIA_TYPE.fullmatch(media_type):
                raise self.mistake(f"{media_type!r} is no media type", fix='"application/json"')
        if self.body is not None and self.content:
            raise self.mistake("body and content exclude each other", fix='content={"application/json": …}')
        if not self.content_types:
            raise self.mistake("content_types is empty: no body could pass")
        for encoding in self.encodings:
            if encoding not in ENCODINGS:
                raise self.mistake(f"encodings: {encoding!r} is none of {', '.join(ENCODINGS)}")
            if not is_available(encoding):
                raise self.mistake(f"encodings: nothing here decodes {encoding!r}", fix=to_install("formats"))

    def _check_bounds(self) -> None:
        if not 1 <= self.max_depth <= _DEEPEST:
            raise self.mistake(f"max_depth={self.max_depth!r} is not between 1 and {_DEEPEST}")
        for name in ("max_ratio", "max_body", "max_values", "max_url", "max_headers", "max_header_bytes"):
            if getattr(self, name) < 1:
                raise self.mistake(f"{name}={getattr(self, name)!r} is not positive")

    # What it comes to.

    @functools.cached_property
    def rules(self) -> Rules | AwsRules:
        """The rules of a spec that names its schemas, made once however many routes it stands on."""
        declared = {name: getattr(self, name) for name in ("path", "query", "headers", "cookies")}
        content = self.content or (dict.fromkeys(self.content_types, self.body) if self.body is not None else {})
        making = self._making(formats=False)
        try:
            if self.aws:
                return AwsRules(declared, content, making.source, making.bounds)
            return rules(declared, content, _by_status(self.response), self.draft, making)
        except SchemaMistake as error:
            raise self.mistake(str(error)) from None
        finally:
            self._tell_typos()

    def operations(self, plan: Plan) -> Mapping[str, Rules]:
        """What the OpenAPI document says of a route, by method; nothing where the route is not in it."""
        document = self._own_document(plan)
        template = plan.template
        if document is None or template is None:
            return {}
        found = {}
        for method, operation in document.operations(template).items():
            if plan.methods is None or method in plan.methods or (method == "GET" and "HEAD" in plan.methods):
                self._check_security(plan, document, operation.method, document.security(operation))
                found[method] = self._of_operation(document, operation, template)
        if "GET" in found and "HEAD" not in found:
            found["HEAD"] = found["GET"]._replace(body=None)
        return found

    def _of_operation(self, document: OpenApi, operation: Operation, template: str) -> Rules:
        key = (id(self), operation.method, operation.template, template)
        known = document.made.get(key)
        if known is None:
            try:
                known = document.made[key] = rules_of(document, operation, template, self._making(formats=True))
            except SchemaMistake as error:
                raise self.mistake(f"openapi: {error}") from None
            self._tell_typos()
        return known

    def _check_security(
        self, plan: Plan, document: OpenApi, method: str, alternatives: Sequence[Mapping[str, Sequence[str]]]
    ) -> None:
        """What the document asks of callers, the authorizer must ask of them, too."""
        if self.security == "app" or not alternatives or any(not each for each in alternatives):
            return
        where = f"openapi: {method} {plan.template}"
        unknown = sorted({name for each in alternatives for name in each} - document.schemes().keys())
        if unknown:
            raise self.mistake(f"{where} names a security scheme that the document does not declare: {unknown[0]}")
        fix = "put Authorize on the route, or say security='app' where the app itself sees to it"
        if not plan.identified:
            raise self.mistake(
                f"{where} asks for {' or '.join(sorted({*alternatives[0]}))}, and no Authorize stands there", fix=fix
            )
        wanted = [frozenset(scope for scopes in each.values() for scope in scopes) for each in alternatives]
        if not any(scopes <= plan.scopes for scopes in wanted):
            raise self.mistake(f"{where} asks for the scopes {sorted(wanted[0])}, Authorize for {sorted(plan.scopes)}", fix=fix)

    def _own_document(self, plan: Plan) -> OpenApi | None:
        if self.openapi is True or callable(self.openapi):
            made = _made_for(plan.app_document, self.openapi)
            if isinstance(made, str):
                raise self.mistake(f"openapi: {made}")
            if made is None:
                raise self.mistake("openapi=True: this app makes no document", fix='openapi="openapi.yaml"')
            return made
        return self._document

    @functools.cached_property
    def _document(self) -> OpenApi:
        try:
            return OpenApi(Path(self.openapi) if isinstance(self.openapi, (str, os.PathLike)) else self.openapi)
        except SchemaMistake as error:
            raise self.mistake(f"openapi: {error}") from None

    @functools.cached_property
    def _typos(self) -> tuple[dict[str, str], set[str]]:
        """Names that look like misspelt keywords, with these; and those of them that have been told."""
        return {}, set()

    def _tell_typos(self) -> None:
        typos, told = self._typos
        new = [name for name in typos if name not in told]
        if new:
            told.update(new)
            named = ", ".join(f"{name!r} (did you mean {typos[name]!r}?)" for name in sorted(new))
            _log.warning("Validate of %s: no keyword of JSON Schema, and judges nothing: %s", self.origin, named)

    def _making(self, *, formats: bool) -> Making:
        return Making(
            Source(
                given=self.schemas,
                formats=formats if self.formats is None else self.formats,
                secrets=frozenset(self.secrets),
                typos=self._typos[0],
            ),
            Bounds(self.max_body, self.max_depth, self.max_values),
            self.encodings,
            self.max_ratio,
            self.unknown_query == "refuse",
            answers=self.answers is not None,
        )


def _by_status(response: Any) -> Mapping[str, Any]:
    if response is None:
        return {}
    if isinstance(response, Mapping) and response and all(_STATUS.fullmatch(str(status)) for status in response):
        return {str(status): schema for status, schema in response.items()}
    return {"2XX": response}


@functools.lru_cache(maxsize=16)
def _made_for(app_document: Callable[[], Any], source: Any) -> OpenApi | str | None:
    """The document of one compilation of the app's routes: made once for all of them. A text says what is wrong with it."""
    document = app_document() if source is True else source()
    if document is None:
        return None
    try:
        return OpenApi(document)
    except SchemaMistake as error:
        return str(error)
