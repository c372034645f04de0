"""The validator: what gets in."""

from .component import Validator
from .spec import Validate

__all__ = ["Validate", "Validator"]
