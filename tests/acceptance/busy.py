"""The busy apps of transparent_apps as servers run them, with and without a gateway that has nothing on.

`file.bin` lies in the folder that the server runs in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.test import override_settings

import transparent_apps
from acceptance.shop_django import handler
from frameworks.django_project.urls import Urls
from gatekeep import Gateway

Put = Callable[[Any], Any]


def bare(app: Any) -> Any:
    return app


def flask(put: Put) -> Any:
    return put(transparent_apps.flask([], Path.cwd()))


def fastapi(put: Put) -> Any:
    return put(transparent_apps.fastapi([], Path.cwd()))


def django(put: Put, protocol: str) -> Any:
    urls = Urls(transparent_apps.django_urls([], Path.cwd(), protocol))
    override_settings(ROOT_URLCONF=urls, MIDDLEWARE=["django.middleware.common.CommonMiddleware"]).enable()
    return put(handler(protocol))


# What a command line can name.

flask_bare, flask_gated = (functools.partial(flask, put) for put in (bare, Gateway().init_app))
fastapi_bare, fastapi_gated = (functools.partial(fastapi, put) for put in (bare, Gateway().init_app))
wsgi_bare, wsgi_gated = (functools.partial(django, put, "wsgi") for put in (bare, Gateway().wrap))
asgi_bare, asgi_gated = (functools.partial(django, put, "asgi") for put in (bare, Gateway().wrap))
