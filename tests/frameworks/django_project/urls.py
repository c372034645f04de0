"""An empty URLconf; tests bring their own, with override_settings(ROOT_URLCONF=Urls([...]))."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

urlpatterns: list[Any] = []


class Urls:
    """A URLconf made in a test; Django takes any hashable object with `urlpatterns`."""

    def __init__(self, urlpatterns: Sequence[Any]) -> None:
        self.urlpatterns = list(urlpatterns)
