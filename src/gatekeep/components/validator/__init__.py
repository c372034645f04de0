"""The validator: what gets in, and whether what goes out is what was declared."""

from .component import AnswerValidator, Validator
from .spec import Validate

__all__ = ["AnswerValidator", "Validate", "Validator"]
