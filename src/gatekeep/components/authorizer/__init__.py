"""The Authorizer: who asks, how it is proved, and what they may do."""

from .all_of import all_of
from .any_of import any_of
from .api_key import ApiKey
from .api_keys import KeyRing
from .authenticator import Authenticator, Opening, Verifier
from .cedar import Cedar
from .cognito import Cognito
from .component import Authorizer
from .custom import CustomAuthorizer
from .iam_policy import IAMPolicy
from .introspection import Introspection
from .jwt import ANY, JWT
from .mutual_tls import MutualTLS
from .revocation import Revocations
from .saml import SAML
from .sigv4 import Credential, SigV4
from .spec import Authorize

__all__ = [
    "ANY",
    "JWT",
    "SAML",
    "ApiKey",
    "Authenticator",
    "Authorize",
    "Authorizer",
    "Cedar",
    "Cognito",
    "Credential",
    "CustomAuthorizer",
    "IAMPolicy",
    "Introspection",
    "KeyRing",
    "MutualTLS",
    "Opening",
    "Revocations",
    "SigV4",
    "Verifier",
    "all_of",
    "any_of",
]
