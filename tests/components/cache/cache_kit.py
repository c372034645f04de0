"""Entries, their keys and the terms of a route, for tests of what keeps them."""

from __future__ import annotations

from math import inf
from typing import Any

from gatekeep.components.cache.entry import Entry
from gatekeep.components.cache.form import FORMS
from gatekeep.components.cache.freshness import Terms


def key(path="/orders/42", query="", *, host="api.example.com", root="", route="wsgi  GET /orders/{id}"):
    address = f"{len(route)} {route};4,{len(host)},{len(root)};http{host}{root}{len(path)};{path}"
    return f"{address}{query}" if isinstance(query, str) else (address, query, "", (), ())


def entry(body=b"body", *, epoch=0, tags=(), form="wsgi", born=0.0, ttl=60.0, status=200, pairs=(), **more):
    form = FORMS[form]
    values = {
        "etag": None,
        "modified": None,
        "due": born + ttl,
        "revalidate_within": 0.0,
        "error_within": 0.0,
        "strict": False,
        **more,
    }
    given = list(pairs) or [("Content-Type", "text/plain")]
    return Entry(
        form,
        form.pairs(form.headers(given)),
        body,
        status=status,
        born=born,
        expires=born + ttl,
        tags=frozenset(tags),
        epoch=epoch,
        **values,
    )


def terms(**changed: Any) -> Terms:
    """Five minutes for small entries, and nothing else that a route can ask for."""
    usual = Terms(
        http=False,
        ttl=300.0,
        max_ttl=inf,
        negative_ttl=0.0,
        heuristic=0.0,
        stale_while_revalidate=0.0,
        stale_if_error=0.0,
        early_refresh=0.0,
        max_entry=100,
    )
    return usual._replace(**changed)


def nothing(name):
    """The header look-up of a request without fields."""
    return
