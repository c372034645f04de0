"""Refusal: what stands innermost where no request may pass."""

from __future__ import annotations

from .component import Component, Hooks, Off
from .errors import Denied
from .exchange import Exchange

__all__ = ["Refusal", "refusing"]


class Refusal(Component):
    """Bound by the site alone, to routes that lead nowhere."""

    spec = Off

    def bind(self, plan: object) -> None:
        return None


def refusing(refusal: Denied) -> Hooks:
    """Hooks that raise one like this for every request."""

    def refuse(_: Exchange) -> None:
        raise type(refusal)(refusal.detail, code=refusal.code)

    return Hooks(on_request=refuse)
