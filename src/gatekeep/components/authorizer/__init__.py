"""The Authorizer: who asks, how it is proved, and what they may do."""

from .any_of import any_of
from .api_key import ApiKey
from .authenticator import Authenticator, Opening, Verifier
from .component import Authorizer
from .jwt import ANY, JWT
from .spec import Authorize

__all__ = ["ANY", "JWT", "ApiKey", "Authenticator", "Authorize", "Authorizer", "Opening", "Verifier", "any_of"]
