"""What a component is, phase by phase. Spec: configuration and decorator. Component: what runs. Hooks: its part in one route.

A Component class is made once per gateway with its Services. `bind` compiles the specs that apply to one route to Hooks,
or None where it has nothing to do; the request path sees only the tuples of those hooks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Never, TypeVar

from .clock import Clock
from .declared import Decorator, bare_decorator, caller
from .effects import Flow, Protocol
from .errors import ConfigurationError, Origin
from .exchange import Exchange, Principal
from .marks import mark
from .message import HookResult
from .showing import Shown

if TYPE_CHECKING:
    from .lifecycle import Runner
    from .stores.base import Store

__all__ = ["Component", "Hooks", "Mode", "Off", "Placed", "Plan", "Services", "Spec", "caller", "check_specs"]

Mode = Literal["enforce", "report"]
V = TypeVar("V")


@dataclass(frozen=True)
class Spec(Shown, metaclass=Decorator):
    """Frozen configuration of one component, and a decorator: it marks the view and returns the same view.

    Subclass as a frozen dataclass; check the fields in `check()` and raise `self.mistake(...)`.
    """

    mode: Mode = field(default="enforce", kw_only=True)
    """"report" logs and counts what would be denied, and denies nothing."""
    origin: Origin = field(init=False, repr=False, compare=False)
    """The line that made it."""

    identifies: ClassVar[bool] = False
    """Whether the spec makes the principal known: a cache must keep the answers of such a route apart."""
    replaces: ClassVar[bool] = False
    """Whether of this kind the strongest alone holds: two at one level are then a mistake."""
    as_spec: ClassVar[str] = "{}(...)"
    """What was meant where the class stands in place of a spec; also of classes that are no specs, but taken for some."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", caller())
        if self.mode not in ("enforce", "report"):
            raise self.mistake(f'mode={self.mode!r} is neither "enforce" nor "report"')
        self.check()

    def check(self) -> None:
        """Raise ConfigurationError for fields that make no sense."""

    @property
    def reads_principal(self) -> bool:
        """Whether the answer may depend on the principal because of this spec."""
        return False

    @property
    def demands(self) -> frozenset[str]:
        """The scopes that every caller must have because of this spec."""
        return frozenset()

    def lacks(self, principal: Principal) -> Iterable[str]:
        """What of a caller this spec asks for that this one does not have, "the scope orders:read" or so; for explanations."""
        return ()

    @property
    def about(self) -> type[Spec]:
        """The kind of spec that this one speaks of: its own, or the one that it turns off."""
        return type(self)

    def mistake(self, message: str, fix: str = "") -> ConfigurationError:
        """The error to raise for this spec: names its file and line."""
        return ConfigurationError(f"{type(self).__name__}: {message}", origin=self.origin, fix=fix)

    def __call__(self, view: V) -> V:
        try:
            return mark(view, self)
        except TypeError:
            raise self.mistake(
                f"can't be put on {view!r}",
                fix="decorate the function or class itself, not a bound method, builtin or slotted instance",
            ) from None

    @classmethod
    def off(cls, *nothing: Never) -> Off:
        """Opt out: cancels this kind of spec from weaker levels. As greppable as it should be."""
        if nothing:
            raise bare_decorator(f"{cls.__name__}.off", nothing[0], f"@{cls.__name__}.off()")
        return Off(cls)


@dataclass(frozen=True)
class Off(Spec):
    """The opposite of a spec, made by `SpecClass.off()`."""

    kind: type[Spec] = Spec

    @property
    def about(self) -> type[Spec]:
        return self.kind

    def __repr__(self) -> str:
        return f"{self.kind.__name__}.off()"


def check_specs(specs: Iterable[object], call: str, origin: Origin) -> None:
    """Raise ConfigurationError for the first that is none. `call` is how they are given: "Gateway(*specs)"."""
    for spec in specs:
        if not isinstance(spec, Spec):
            kind = spec if isinstance(spec, type) else type(spec)
            one_by_one = f"specs are given one by one: {call}" if issubclass(kind, (list, tuple)) else ""
            fix = one_by_one or getattr(kind, "as_spec", "").format(kind.__name__)
            raise ConfigurationError(f"{call.partition('(')[0]}: {spec!r} is not a spec", origin=origin, fix=fix)


class Placed(NamedTuple):
    """A spec and where it stands; `level` names the bucket, entry or counter that it owns.

    "gateway", "stage:<name>", "route:<template>" or "view:<endpoint id>".
    """

    spec: Any
    level: str


class Plan(NamedTuple):
    """What a component may know of a route when it binds."""

    id: str
    """Unique in the gateway, the same in every process: "GET /orders/{order_id}", after the stage's name where there is one."""
    template: str | None
    """The route's template; None for unmatched requests."""
    methods: frozenset[str] | None
    """Upper case; None where any method is possible."""
    protocol: Protocol
    handshake: bool
    """Whether this is a WebSocket route: its "request" is the handshake."""
    specs: Sequence[Placed]
    """This component's own specs, from weak to strong, what `off()` cancelled left out."""
    identified: bool
    """Whether some spec on the route makes the principal known."""
    personal: bool
    """Whether some spec makes the answer depend on the principal."""
    stage: str | None
    variables: Mapping[str, str]
    scopes: frozenset[str] = frozenset()
    """The scopes that some spec on the route demands of every caller."""
    app_document: Callable[[], Mapping[str, Any] | None] = lambda: None
    """Makes the OpenAPI document that the app generates of its routes, where it does; another function with each compilation."""
    path_names: Callable[[Placed], frozenset[str] | None] = lambda _: None
    """The path parameters that the routes of a view's or Route's spec have, together; None for specs of gateway and stage."""
    beside: frozenset[type[Spec]] = frozenset()
    """The kinds of specs that stand on views and Routes of the same path, for whatever method."""


RequestHook = Callable[[Exchange], HookResult]
ResponseHook = Callable[[Exchange], Flow[None] | None]
FinishHook = Callable[[Exchange], None]
Need = Callable[[Exchange], bool]


class Hooks(NamedTuple):
    """What a component does on one route; every field may be left out.

    `on_request` sees the request, may answer it or raise Denied. `on_response` may change `exchange.response` (head, and
    body where it was asked for). `on_finish` runs exactly once after the last byte, an error or a disconnect; it does no
    I/O of its own. The first two may be generators (see effects).
    """

    on_request: RequestHook | None = None
    on_response: ResponseHook | None = None
    on_finish: FinishHook | None = None
    needs_request_body: bool = False
    """`exchange.request.body` is there before on_request runs."""
    needs_response_body: Need | None = None
    """Asked at the head; where true, `exchange.response.body` is whole before any on_response runs."""
    filters_response_body: bool = False
    """on_response may attach a body filter."""
    report: bool = False
    """Denials from on_request are reported, not enforced."""
    before_app: RequestHook | None = None
    """Runs when every component has let the request through, right before the app is called; it neither answers nor waits."""
    after_app: ResponseHook | None = None
    """Runs before any on_response, where the app itself has answered; it does not wait."""
    makes_span: Callable[[], bool] | None = None
    """Whether it would make a request's SERVER span now, so that a framework has not to."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the gateway lends its components."""

    clock: Clock
    store: Store
    runner: Runner
    max_body: int
    mode: Mode = "enforce"
    """The gateway's: "report" turns every spec's mode."""
    workers: int | None = None
    """How many processes serve the app, where that was said."""
    cache: object = None
    """Where the response cache keeps its entries: a CacheStorage; None: as it does by default."""

    def reports(self, spec: Spec) -> bool:
        """Whether a spec's denials are only reported."""
        return self.mode == "report" or spec.mode == "report"


class Component(ABC):
    """One running component of one gateway. Subclass, name your `spec`, write `bind`."""

    spec: ClassVar[type[Spec]]
    """The kind of spec that it runs; a subclass of another component may run the same kind at another place."""
    also: ClassVar[tuple[type[Spec], ...]] = ()
    """Further kinds that it runs; their specs come after those of `spec`."""
    handshakes: ClassVar[bool] = False
    """Whether its request hook also stands before WebSocket handshakes."""
    answers_preflights: ClassVar[bool] = False
    """Whether it answers every CORS preflight of a route it is bound on, so that none gets through to the endpoint."""
    repeats: ClassVar[bool] = True
    """Whether it runs again for the target of a path that was rewritten after it ran."""
    gates: ClassVar[bool] = True
    """Whether it may decide who gets an answer, so that a cache inside of it must not hand one to whom it was not asked about."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @property
    def name(self) -> str:
        """As in decisions, metrics and logs: the class name in snake case."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in type(self).__name__).lstrip("_")

    @abstractmethod
    def bind(self, plan: Plan) -> Hooks | None:
        """The hooks for one route, or None where there is nothing to do. Raises ConfigurationError."""

    def heeds(self, spec: Spec) -> bool:
        """Whether it goes by this spec of its kinds, where it shares them with another component; for explanations."""
        return True

    def charge(  # noqa: B027  most components count nothing
        self, exchange: Exchange, state: dict[Any, Any], amount: float, limit: str | None
    ) -> None:
        """Count an amount that a view charges (see Exchange.charge); `state` is where this component's note of the request is."""

    def measures(self, note: Any) -> Iterable[tuple[str, str, float]]:
        """What a note of this component's, kept under itself in `Exchange.state`, says in numbers: (metric, what of it, value).

        Asked for after the request, with many others at once; the lowest value since the last collection is what is told.
        """
        return ()

    def start(self) -> Flow[None] | None:
        """Before the first request of a process; may wait."""
        return None

    def close(self) -> Flow[None] | None:
        """When the gateway closes; may wait."""
        return None
