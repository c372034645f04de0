"""A real OpenID provider for tests: django-allauth's, as a WSGI app. Everything of it lives in the current directory.

Its keys are the PEM files in `keys/`, and the one with the last name signs: who puts another file there rotates them. A
client "gateway" with the secret "gateway-secret" may use the grant "client_credentials", and the introspection endpoint.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

HERE = Path.cwd()

settings.configure(
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "provider.sqlite3"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.idp.oidc",
    ],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "allauth.account.middleware.AccountMiddleware"],
    IDP_OIDC_ADAPTER=f"{__name__}.Adapter",
    IDP_OIDC_ACCESS_TOKEN_FORMAT="jwt",
    IDP_OIDC_INTROSPECTION_ENABLED=True,
    IDP_OIDC_RATE_LIMITS=False,
)
django.setup()

from allauth.idp.oidc.adapter import DefaultOIDCAdapter  # noqa: E402 - needs the settings
from allauth.idp.oidc.models import Client, PrivateKey  # noqa: E402

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Adapter(DefaultOIDCAdapter):
    """Its keys are files."""

    def list_private_keys(self, **which: Any) -> list[Any]:
        files = sorted((HERE / "keys").glob("*.pem"))
        return [PrivateKey(pem=file.read_text(), issued_at=EPOCH + timedelta(days=n)) for n, file in enumerate(files)]


urlpatterns = [path("", include("allauth.idp.urls"))]

call_command("migrate", verbosity=0)
client, _ = Client.objects.get_or_create(
    id="gateway", defaults={"name": "gateway", "grant_types": "client_credentials", "scopes": "orders:read\norders:write"}
)
client.set_secret("gateway-secret")
client.save()

application = get_wsgi_application()
