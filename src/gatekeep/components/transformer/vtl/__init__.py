"""VTL: AWS mapping templates, by an engine of our own.

Python's Velocity engine, airspeed, reads attributes of whatever it is given, knows no bounds, and takes quotes, hyphens and what
is not there otherwise than AWS does. This one reaches nothing but what values.py and methods.py name, within a budget.
"""

from .mapping import Templates, Vtl, vtl
from .reads import header_params
from .ways import Place, TemplatesIn, TemplatesOut

__all__ = ["Place", "Templates", "TemplatesIn", "TemplatesOut", "Vtl", "header_params", "vtl"]
