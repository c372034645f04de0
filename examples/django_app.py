"""A Django project in one file behind a gateway, for ASGI, for WSGI and for Django's test client.

uvicorn --app-dir examples django_app:application
gunicorn --chdir examples django_app:wsgi_application
curl -i http://127.0.0.1:8000/books/1 -H "X-Api-Key: reader-key-0123456789"
"""

import json
import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import path
from django.views import View

from gatekeep import ApiKey, Authorize, Cache, Gateway, Observe, Throttle, Validate, current

KEYS = ApiKey(
    {
        "reader-key-0123456789": {"owner": "reader", "scopes": ["books:read"]},
        "clerk-key-9876543210": {"owner": "clerk", "scopes": ["books:read", "books:write"]},
    }
)
BOOK = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string", "minLength": 1}}}
BOOKS = {1: "The Left Hand of Darkness"}


class Books(View):
    @Authorize(scopes={"books:write"})
    @Validate(body=BOOK)
    def post(self, request: HttpRequest) -> JsonResponse:
        title = json.loads(request.body)["title"]
        BOOKS[max(BOOKS) + 1] = title
        return JsonResponse({"title": title, "added_by": current().principal.id}, status=201)


class Book(View):
    @Authorize(scopes={"books:read"})
    @Throttle("10/second", burst=20)
    @Cache(ttl=30)
    def get(self, request: HttpRequest, book_id: int) -> JsonResponse:
        if book_id not in BOOKS:
            raise Http404
        return JsonResponse({"title": BOOKS[book_id]})


@Authorize.off()
@Throttle.off()
async def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


urlpatterns = [
    path("health", health),
    path("books", Books.as_view()),
    path("books/<int:book_id>", Book.as_view()),
]

gateway = Gateway(
    Observe(access_log="json"),
    Authorize(KEYS),
    Throttle("100/second", by="principal"),
    store=os.environ.get("GATEKEEP_STORE", "memory://"),
)

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost", "testserver"],
    MIDDLEWARE=["gatekeep.frameworks.django.GatekeepMiddleware"],  # for Django's test client
    GATEKEEP=gateway,
)
django.setup()

application = gateway.wrap(get_asgi_application())
wsgi_application = gateway.wrap(get_wsgi_application())
