"""VTL: AWS mapping templates, by an engine of our own.

Python's Velocity engine, airspeed, reads attributes of whatever it is given, knows no bounds, and takes quotes, hyphens and what
is not there otherwise than AWS does. This one reaches nothing but what values.py and methods.py name, within a budget.
"""

from .binary import check_types, is_listed
from .mapping import Templates, Vtl, vtl
from .reads import header_params
from .values import Failed
from .ways import WRONG, Place, TemplatesIn, TemplatesOut

__all__ = [
    "WRONG",
    "Failed",
    "Place",
    "Templates",
    "TemplatesIn",
    "TemplatesOut",
    "Vtl",
    "check_types",
    "header_params",
    "is_listed",
    "vtl",
]
