"""Site: one app in one stage, compiled: its route table, the specs that meet on each route, and the pipelines they come to."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .component import Placed, Plan, Spec
from .effects import Protocol as Wire
from .errors import BadRequest, Denied, NotFound
from .known import Known
from .marks import ViewMarks, settle, view_marks
from .memo import Memo
from .merging import Beside, Layer, PathNames, level_of, merge
from .message import Request
from .pipeline import Bound, Pipeline
from .policy import Policy
from .refetch import refetch
from .refusal import Refusal, refusing
from .requests import AsgiRequest, WsgiRequest
from .route_table import RouteTable
from .routing import Endpoint, Params, Resolver, Route
from .sightings import Sightings
from .template import covers

if TYPE_CHECKING:
    from .frameworks import Adapter
    from .gateway import Gateway
    from .guard import AppGuard

__all__ = ["Site"]


_Found: TypeAlias = tuple[Pipeline, Endpoint | None, Params]

_MEMO = 4096
"""Look-ups that are remembered."""
_LONGEST: Final = 500
"""Characters of a method and path that are worth remembering: callers choose them."""


class Site:
    """One app in one stage. `compile()` reads the route table; `find()` picks the pipeline of a request."""

    __slots__ = (
        "_ambiguous",
        "_app_document",
        "_beside",
        "_combined",
        "_memo",
        "_path_names",
        "_reads_escapes",
        "_refused",
        "_routes",
        "_sightings",
        "_table",
        "_unmatched",
        "adapter",
        "app",
        "client_address",
        "complete",
        "framework_app",
        "gateway",
        "guard",
        "inbound_request_id",
        "known",
        "max_body",
        "max_stream",
        "met",
        "name",
        "protocol",
        "reached",
        "refetch",
        "render",
        "report",
        "stage",
        "stage_specs",
        "variables",
        "view",
    )

    def __init__(
        self,
        gateway: Gateway,
        app: Any,
        framework_app: Any,
        protocol: Wire,
        adapter: Adapter | None,
        guard: AppGuard | None,
        stage: str | None = None,
        variables: Mapping[str, str] | None = None,
        specs: Sequence[Spec] = (),
    ) -> None:
        self.gateway = gateway
        self.app = app
        """The callable to call."""
        self.framework_app = framework_app
        """The object that the adapter is for; the callable itself where the app is opaque."""
        self.protocol = protocol
        self.view = AsgiRequest if protocol == "asgi" else WsgiRequest.of
        self.adapter = adapter
        self.guard = guard
        self.stage = stage
        self.variables = variables or MappingProxyType({})
        self.stage_specs = specs
        self.max_body = gateway.max_body
        self.client_address = gateway.client_address
        self.inbound_request_id = gateway.inbound_request_id if gateway.trusts_proxies else None
        self.report = gateway.report
        self.refetch = refetch
        self.render = gateway.render
        self.max_stream = gateway.max_stream
        self.name = f"{stage}:" if stage is not None else ""
        self.complete = False
        """Whether it was compiled with the app complete: at lifespan, first request or check()."""
        self._table: tuple[Resolver | None, dict[Endpoint, Policy]] = (None, {})
        """Resolver and policies; one value, so that no request sees one of them new and the other old."""
        self._combined: dict[tuple[tuple[int, ...], bool], tuple[Endpoint, Pipeline]] = {}
        self._beside = Beside((), RouteTable(()))
        self._path_names = PathNames((), RouteTable(()), opaque=False)
        self._memo: Memo[tuple[str, str, str, str, bool], _Found] | None = Memo(_MEMO)
        """What was found of late, where nothing but this key decides; callers choose paths: bounded, and nothing seen once."""
        self._sightings = Sightings(_MEMO)
        self.known: Memo[tuple[str, str], Known] = Memo(_MEMO)
        """Those of them that only depend on path and method, as the native has them."""
        self._reads_escapes = True
        """Whether it matters, too, how a path was escaped: to Routes."""
        self.reached: frozenset[int] = frozenset()
        """The id() of every object that carries marks and that some route of this site leads to."""
        self.met: frozenset[Route] | None = frozenset()
        """The Routes that hold for some path of some endpoint; None of an opaque app, whose paths nobody knows."""

    # Start-up.

    def compile(self) -> None:
        """Read the route table and bind every pipeline. Raises ConfigurationError; what was compiled before then stays."""
        self._routes = RouteTable(self.gateway.routes)
        self._combined = {}
        resolver = self.adapter.read() if self.adapter is not None else None
        self._app_document = functools.cache(self.adapter.document if self.adapter is not None else lambda: None)
        policies: dict[Endpoint, Policy] = {}
        found = [(endpoint, view_marks(endpoint.view)) for endpoint in resolver.endpoints] if resolver is not None else []
        self.reached = frozenset().union(*(marks.reached for _, marks in found))
        settle(self.reached)  # now: what does not compile is no orphan either
        self._beside = Beside(found, self._routes)
        self._path_names = PathNames(found, self._routes, opaque=resolver is None)
        for endpoint, marks in found:
            if marks.overridden:
                spec, override = marks.overridden[0]
                raise spec.mistake(
                    f"its method is overridden by {getattr(override, '__qualname__', override)} on {endpoint.template}, "
                    "which says nothing of it",
                    fix="decorate the overriding method too, or its class",
                )
            policies[endpoint] = self._policy(endpoint, marks)
        if resolver is None:  # every Route alone, and with each that may hold beside it: what is wrong shows now
            for index, route in enumerate(self._routes.routes):
                self._opaque((index,), handshake=False)
                for other, _ in self._routes.meeting(route.template.segments):
                    if other > index:
                        self._opaque((index, other), handshake=False)
        nowhere = NotFound("There is no such route.")
        unclear = BadRequest("The path can be read in more than one way.", code="ambiguous_path")
        kinds = (False, True) if self.protocol == "asgi" else (False,)
        unmatched = {handshake: self._pipeline(None, (), (), handshake=handshake) for handshake in kinds}
        self._refused = {handshake: self._pipeline(None, (), (), nowhere, handshake=handshake) for handshake in kinds}
        self._ambiguous = {handshake: self._pipeline(None, (), (), unclear, handshake=handshake) for handshake in kinds}
        self._unmatched, self._table = unmatched, (resolver, policies)
        self._memo = Memo(_MEMO) if resolver is None or resolver.by_path else None
        self.known = Memo(_MEMO)
        self._reads_escapes = bool(self._routes.routes)
        routes = self._routes.routes
        touched = (index for policy in policies.values() for index in (*policy.certain, *policy.possible))
        self.met = frozenset(routes[index] for index in touched) if resolver is not None else None

    def _policy(self, endpoint: Endpoint, marks: ViewMarks) -> Policy:
        routes = self._routes.routes
        certain: list[int] = []
        possible: list[int] = []
        for index, route in self._routes.meeting(endpoint.segments):
            if endpoint.methods is not None and route.methods is not None and not endpoint.methods & route.methods:
                continue
            (certain if covers(route.template, endpoint.segments) else possible).append(index)
        policy = Policy(endpoint, marks, certain, possible)
        special = set(marks.by_method)
        for index in (*certain, *possible):
            special |= routes[index].methods or set()
        if endpoint.methods is not None:
            special &= endpoint.methods
        policy.methods = frozenset(special)
        if not special and not possible:
            policy.single = self._endpoint_pipeline(policy, "*", ())
            return policy
        for method in (*sorted(special), "*"):
            for extra in ((), *((index,) for index in possible)):
                self._variant(policy, method, extra)
        return policy

    def _variant(self, policy: Policy, method: str, extra: tuple[int, ...]) -> Pipeline:
        pipeline = policy.variants.get((method, extra))
        if pipeline is None:
            pipeline = policy.variants[method, extra] = self._endpoint_pipeline(policy, method, extra)
        return pipeline

    def _endpoint_pipeline(self, policy: Policy, method: str, extra: tuple[int, ...]) -> Pipeline:
        endpoint = policy.endpoint
        methods = frozenset({method}) if method != "*" else endpoint.methods
        return self._pipeline(
            endpoint,
            self._layers(policy, method, extra),
            methods,
            handshake=endpoint.handshake,
            by_method=bool(policy.methods),
            by_path=bool(policy.possible),
        )

    def _layers(self, policy: Policy, method: str, extra: tuple[int, ...]) -> list[Layer]:
        """What Routes and view say of a method, weak to strong."""
        marks, routes = policy.marks, self._routes.routes
        indexes = sorted({*policy.certain, *extra})
        layers: list[Layer] = [(level_of(routes[i]), routes[i].specs) for i in indexes if routes[i].allows(method)]
        view = f"view:{self.name}{policy.endpoint.id}"
        own = "GET" if method == "HEAD" and marks.by_method.get("HEAD") is marks.by_method.get("GET") else method
        layers.append((view, marks.common))
        layers.append((f"{view}#{own}", marks.by_method.get(method, ())))
        return layers

    def _opaque(self, indexes: tuple[int, ...], *, handshake: bool) -> tuple[Endpoint, Pipeline]:
        """The endpoint that some Routes together stand for in an app without a table of its own."""
        known = self._combined.get((indexes, handshake))
        if known is None:
            chosen = [self._routes.routes[index] for index in indexes]
            last = chosen[-1]
            endpoint = Endpoint(
                template=last.path,
                methods=last.methods,
                view=None,
                key=indexes,
                handshake=handshake,
                segments=last.template.segments,
            )
            layers = [(level_of(route), route.specs) for route in chosen]
            pipeline = self._pipeline(endpoint, layers, last.methods, handshake=handshake)
            known = self._combined[indexes, handshake] = (endpoint, pipeline)
        return known

    def _pipeline(
        self,
        endpoint: Endpoint | None,
        layers: Sequence[Layer],
        methods: Collection[str] | None,
        refusal: Denied | None = None,
        *,
        handshake: bool = False,
        by_method: bool = False,
        by_path: bool = False,
    ) -> Pipeline:
        gateway = self.gateway
        merged = merge(self._placed(layers))
        every = [placed.spec for specs in merged.values() for placed in specs]
        unknown = next((spec for spec in every if type(spec) not in gateway.kinds), None)
        if unknown is not None:
            raise unknown.mistake("no component of this gateway runs it", fix="Gateway(..., order=[*STANDARD, <its component>])")
        plan = Plan(
            id=self.name + (endpoint.id if endpoint is not None else "__unmatched__"),
            template=endpoint.template if endpoint is not None else None,
            methods=frozenset(methods) if methods else None,
            protocol=self.protocol,
            handshake=handshake,
            specs=(),
            identified=any(spec.identifies for spec in every),
            personal=any(spec.reads_principal for spec in every),
            stage=self.stage,
            variables=self.variables,
            beside=self._beside.kinds(endpoint),
            scopes=frozenset().union(*(spec.demands for spec in every)),
            app_document=self._app_document,
            path_names=self._path_names.of,
        )
        bound = []
        for component in gateway.components:
            if handshake and not component.handshakes:
                continue
            specs = [placed for kind in (component.spec, *component.also) for placed in merged.get(kind, ())]
            hooks = component.bind(plan._replace(specs=specs))
            if hooks is not None:
                bound.append(Bound(component, hooks, specs))
        if refusal is not None:
            bound.append(Bound(Refusal(gateway.services), refusing(refusal)))
        key = endpoint.key if endpoint is not None else None
        return Pipeline(bound, key=key, render=gateway.render, reroute=gateway.reroute, by_method=by_method, by_path=by_path)

    def _placed(self, layers: Sequence[Layer]) -> list[Placed]:
        """Every spec that stands somewhere for a route, weak to strong: the gateway's and the stage's before its own."""
        weakest = (("gateway", self.gateway.specs), (f"stage:{self.stage}", self.stage_specs))
        return [Placed(spec, level) for level, specs in (*weakest, *layers) for spec in specs]

    def describe(self) -> list[tuple[str, list[Spec]]]:
        """Each endpoint's id and the specs that hold on it, weak to strong: the policy table, for people and for CI.

        A Route that is not known to hold for all paths of an endpoint gives an entry of its own, "GET /x/{id} where * /x/7": what
        holds on the paths that fit both. What holds for one of several methods is listed with the rest. Of an opaque app: each
        Route.
        """
        resolver, policies = self._table
        if resolver is None:
            routes = enumerate(self._routes.routes)
            alone = [(self._opaque((number,), handshake=False)[0], route) for number, route in routes]
            return [(self.name + endpoint.id, self._holding([[(level_of(route), route.specs)]])) for endpoint, route in alone]
        table = []
        for endpoint, policy in policies.items():
            methods = ("*", *sorted(policy.methods))
            for extra in ((), *((index,) for index in policy.possible)):
                where = "".join(f" where {level_of(self._routes.routes[index]).removeprefix('route:')}" for index in extra)
                holding = self._holding([self._layers(policy, method, extra) for method in methods])
                table.append((f"{self.name}{endpoint.id}{where}", holding))
        return table

    def _holding(self, alternatives: Iterable[Sequence[Layer]]) -> list[Spec]:
        found: dict[int, Spec] = {}
        for layers in alternatives:
            placed = self._placed(layers)
            kept = {id(entry.spec) for entries in merge(placed).values() for entry in entries}
            found.update((id(entry.spec), entry.spec) for entry in placed if id(entry.spec) in kept)
        return list(found.values())

    # The request path.

    def find(self, request: Request) -> _Found:
        """The pipeline for a request, its endpoint and path parameters; never no pipeline."""
        if request.method == "OPTIONS":
            wanted = request.header("access-control-request-method")
            if wanted is not None and request.header("origin") is not None:
                return self._find_preflight(request, wanted)
        native: dict[str, Any] = request.native
        memo, known = self._memo, self.known  # before the table: what an old one said must not get into those of a new one
        if memo is None or (self._reads_escapes and request.escaped) or native.get("path_params") or "\ufffd" in request.path:
            # Not in the key: parameters of a router outside of the gateway, and what bytes stood where a path is no UTF-8.
            return self._find(request)
        path, method, root = request.path, request.method, request.root_path
        # Below a root path that stands there or not, the whole one says more.
        key = (method, path, root, request.native_path if root else "", request.handshake)
        found = memo.get(key)
        if found is None:
            found = self._find(request)
            pipeline, endpoint, params = found
            if isinstance(params, dict):  # what one request could change, the next would believe
                found = (pipeline, endpoint, MappingProxyType(params))
            if len(path) + len(method) <= _LONGEST and self._sightings.again(path):
                memo.put(key, found)
                if path.isascii() and not (root or request.handshake or method == "OPTIONS"):
                    # By the path as it came: an empty one is not "/" to every framework.
                    known.put((path, method), Known(self, *found, path, method, strict=self._reads_escapes))
        return found

    def _find_preflight(self, request: Request, wanted: str) -> _Found:
        """A preflight is answered by the policy of the request that it asks for; it never reaches that endpoint itself."""
        request.method = wanted
        try:
            asked = self._find(request)
        finally:
            request.method = "OPTIONS"
        return asked if asked[0].answers_preflights else self._find(request)

    def _find(self, request: Request) -> _Found:
        resolver, policies = self._table
        if resolver is None:
            return self._find_opaque(request)
        found = resolver.find(request)
        if found is None:
            return self._unmatched[request.handshake], None, None
        endpoint, params = found
        policy = policies[endpoint]
        if policy.single is not None:
            return policy.single, endpoint, params
        method = request.method.upper()
        if method not in policy.methods:
            method = "*"
        extra: tuple[int, ...] = ()
        if policy.possible:
            matching = self._routes.matching(request)
            if matching is None:
                return self._ambiguous[request.handshake], None, None
            extra = tuple([number for number in matching[0] if number in policy.possible])
        return self._variant(policy, method, extra), endpoint, params

    def refused(self, request: Request) -> _Found:
        """For a request that no stage takes."""
        return self._refused[request.handshake], None, None

    def _find_opaque(self, request: Request) -> _Found:
        if not self._routes.routes:
            return self._unmatched[request.handshake], None, None
        matching = self._routes.matching(request)
        if matching is None:
            return self._ambiguous[request.handshake], None, None
        numbers, params = matching
        if not numbers:
            nobodys = self._refused if self.gateway.unmatched == "refuse" else self._unmatched
            return nobodys[request.handshake], None, None
        known = self._combined.get((numbers, request.handshake))
        endpoint, pipeline = known or self._opaque(numbers, handshake=request.handshake)
        return pipeline, endpoint, MappingProxyType(params)
