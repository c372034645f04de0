"""The transformer: what goes out, in which shape."""

from .component import Transformer
from .operations import (
    Operation,
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
from .spec import Transform

__all__ = [
    "Operation",
    "Transform",
    "Transformer",
    "add_header",
    "add_query",
    "map_body",
    "remove_header",
    "remove_query",
    "rename_header",
    "rename_query",
    "rewrite_path",
    "set_header",
    "set_query",
]
