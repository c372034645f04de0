"""ResponseCache: one gateway's cache, bound to the routes that have something stored or change what is."""

from __future__ import annotations

from ...component import Component, Hooks, Plan, Services
from ...effects import Flow
from ...exchange import Exchange
from .handle import CacheHandle
from .invalidation import invalidate
from .policy import SAFE
from .route import CachedRoute
from .spec import Cache
from .storage import Storage
from .tags import unknown_parameter
from .way_in import WayIn
from .way_out import WayOut

__all__ = ["ResponseCache"]

_SERVED = frozenset({"GET", "HEAD"})


class ResponseCache(Component):
    """Serves GET and HEAD from what earlier answers of the same route left, per caller; see Cache."""

    spec = Cache

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.storage = Storage(services)

    def bind(self, plan: Plan) -> Hooks | None:
        hooks = self._bind(plan)
        writes = plan.methods is not None and not plan.methods <= SAFE
        if hooks is not None and (writes or any(placed.spec.tags for placed in plan.specs)):
            self.storage.expect_purges()
        return hooks

    def _bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs or (plan.methods is not None and not plan.methods & _SERVED):
            changes = (plan.specs or Cache in plan.beside) and (plan.methods is None or not plan.methods <= SAFE)
            return Hooks(on_response=self._invalidate) if changes else None
        spec, level = plan.specs[-1]
        if spec.shared and plan.identified and not level.startswith(("view:", "route:")):
            raise spec.mistake(
                f"shared=True of the level {level!r} would ignore who asks on the authorized route {plan.id!r}",
                fix="put Cache(shared=True) on that view or Route itself",
            )
        if spec.max_entry > self.storage.memory.max_record:
            raise spec.mistake(
                f"max_entry={spec.max_entry} is more than the {self.storage.memory.max_record} bytes that an entry may take"
            )
        missing = unknown_parameter(spec.tags, plan.template or "", level)
        if missing is not None:
            raise spec.mistake(f"tags= asks for {{{missing}}}, which is no parameter of {plan.template}")
        route = CachedRoute(self, spec, plan)
        out = WayOut(route)
        return Hooks(
            on_request=WayIn(route).hook,
            on_response=out.on_response,
            on_finish=out.on_finish if spec.coalesce else None,
            filters_response_body=True,
        )

    def handle(self) -> CacheHandle:
        """For who purges by hand."""
        self.storage.expect_purges()
        return CacheHandle(self.storage)

    def close(self) -> Flow[None] | None:
        return self.storage.close()

    def _invalidate(self, exchange: Exchange) -> Flow[None] | None:
        assert exchange.response is not None
        return invalidate(self.storage, exchange, exchange.response)
