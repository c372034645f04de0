"""The transformer: what goes out, in which shape."""

from .component import Transformer
from .operations import (
    Operation,
    add_header,
    add_query,
    by_status,
    map_body,
    map_status,
    redact,
    remove_cookie,
    remove_header,
    remove_query,
    rename_cookie,
    rename_header,
    rename_query,
    rewrite_path,
    set_cookie,
    set_header,
    set_query,
)
from .parameter_mapping import parameter_mapping
from .spec import Transform

__all__ = [
    "Operation",
    "Transform",
    "Transformer",
    "add_header",
    "add_query",
    "by_status",
    "map_body",
    "map_status",
    "parameter_mapping",
    "redact",
    "remove_cookie",
    "remove_header",
    "remove_query",
    "rename_cookie",
    "rename_header",
    "rename_query",
    "rewrite_path",
    "set_cookie",
    "set_header",
    "set_query",
]
