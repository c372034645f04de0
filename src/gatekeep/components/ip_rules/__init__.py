"""IPRules and ResourcePolicy: who may call at all, by address, time and path."""

from .component import IPFilter, ResourceGuard
from .spec import IPRules, ResourcePolicy

__all__ = ["IPFilter", "IPRules", "ResourceGuard", "ResourcePolicy"]
