"""AWS Signature Version 4, verified: requests that callers sign with a secret that they share with the app."""

from .credential import Credential
from .spec import SigV4

__all__ = ["Credential", "SigV4"]
