"""IAM policy documents, evaluated as AWS does: wildcards, variables, conditions, and an explicit Deny over every Allow."""

from .document import BadPolicy, Facts, PolicyDocument, Verdict

__all__ = ["BadPolicy", "Facts", "PolicyDocument", "Verdict"]
