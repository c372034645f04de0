"""IPRules: which addresses may call at all."""

from .component import IPFilter
from .spec import IPRules

__all__ = ["IPFilter", "IPRules"]
