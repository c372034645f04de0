"""The transformer: what goes out, in which shape."""

from .component import Transformer
from .operations import (
    Operation,
    add_header,
    add_query,
    by_field,
    by_status,
    log_body,
    map_body,
    map_items,
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
    set_status,
)
from .parameter_mapping import parameter_mapping
from .spec import Transform
from .vtl import vtl

__all__ = [
    "Operation",
    "Transform",
    "Transformer",
    "add_header",
    "add_query",
    "by_field",
    "by_status",
    "log_body",
    "map_body",
    "map_items",
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
    "set_status",
    "vtl",
]
