"""gatekeep: an API gateway inside your app. The public names, sorted, and nothing else."""

from .component import Component, Hooks, Placed, Plan, Services, Spec
from .components import STANDARD
from .components.authorizer import (
    ANY,
    JWT,
    SAML,
    ApiKey,
    Authorize,
    Cedar,
    Cognito,
    Credential,
    CustomAuthorizer,
    IAMPolicy,
    Introspection,
    KeyRing,
    MutualTLS,
    Revocations,
    SigV4,
    all_of,
    any_of,
)
from .components.cache import Cache, CacheStorage
from .components.cors import Cors
from .components.ip_rules import IPRules, ResourcePolicy
from .components.metrics import Observe
from .components.stages import Stage
from .components.throttler import Concurrency, LoadShed, Priority, Quota, Throttle, UsagePlan, UsagePlans, claim
from .components.transformer import (
    Transform,
    add_header,
    add_query,
    map_body,
    remove_header,
    remove_query,
    rename_header,
    rename_query,
    rewrite_path,
    set_header,
    set_query,
)
from .components.validator import Validate
from .effects import Flow, Io, blocking, either
from .errors import ConfigurationError, Denied, DependencyError, GatekeepError
from .exchange import Exchange, Principal, current, principal
from .gateway import Gateway
from .message import Headers, Request, Response
from .routing import Route
from .sources import cookie, header, query

__all__ = [
    "ANY",
    "JWT",
    "SAML",
    "STANDARD",
    "ApiKey",
    "Authorize",
    "Cache",
    "CacheStorage",
    "Cedar",
    "Cognito",
    "Component",
    "Concurrency",
    "ConfigurationError",
    "Cors",
    "Credential",
    "CustomAuthorizer",
    "Denied",
    "DependencyError",
    "Exchange",
    "Flow",
    "GatekeepError",
    "Gateway",
    "Headers",
    "Hooks",
    "IAMPolicy",
    "IPRules",
    "Introspection",
    "Io",
    "KeyRing",
    "LoadShed",
    "MutualTLS",
    "Observe",
    "Placed",
    "Plan",
    "Principal",
    "Priority",
    "Quota",
    "Request",
    "ResourcePolicy",
    "Response",
    "Revocations",
    "Route",
    "Services",
    "SigV4",
    "Spec",
    "Stage",
    "Throttle",
    "Transform",
    "UsagePlan",
    "UsagePlans",
    "Validate",
    "add_header",
    "add_query",
    "all_of",
    "any_of",
    "blocking",
    "claim",
    "cookie",
    "current",
    "either",
    "header",
    "map_body",
    "principal",
    "query",
    "remove_header",
    "remove_query",
    "rename_header",
    "rename_query",
    "rewrite_path",
    "set_header",
    "set_query",
]
