"""IAM policy documents, evaluated as AWS does: wildcards, variables, conditions, and an explicit Deny over every Allow."""

from .api import LOCAL, Api
from .document import BadPolicy, Facts, PolicyDocument, Verdict

__all__ = ["LOCAL", "Api", "BadPolicy", "Facts", "PolicyDocument", "Verdict"]
