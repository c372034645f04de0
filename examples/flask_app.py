"""A Flask app behind a gateway, made by a factory, with a blueprint.

flask --app examples/flask_app.py run
curl -i http://127.0.0.1:5000/books/1 -H "X-Api-Key: reader-key-0123456789"
"""

import os

from flask import Blueprint, Flask, abort, request

from gatekeep import ApiKey, Authorize, Cache, Gateway, Observe, Throttle, Validate, current

KEYS = ApiKey(
    {
        "reader-key-0123456789": {"owner": "reader", "scopes": ["books:read"]},
        "clerk-key-9876543210": {"owner": "clerk", "scopes": ["books:read", "books:write"]},
    }
)
BOOK = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string", "minLength": 1}}}
BOOKS = {1: "The Left Hand of Darkness"}

books = Blueprint("books", __name__, url_prefix="/books")


@books.get("/<int:book_id>")
@Authorize(scopes={"books:read"})
@Throttle("10/second", burst=20)
@Cache(ttl=30)
def read_book(book_id: int):
    if book_id not in BOOKS:
        abort(404)
    return {"title": BOOKS[book_id]}


@books.post("")
@Authorize(scopes={"books:write"})
@Validate(body=BOOK)
def add_book():
    title = request.get_json()["title"]
    BOOKS[max(BOOKS) + 1] = title
    return {"title": title, "added_by": current().principal.id}, 201


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(books)

    @app.get("/health")
    @Authorize.off()
    @Throttle.off()
    def health():
        return {"ok": True}

    gateway = Gateway(
        Observe(access_log="common"),
        Authorize(KEYS),
        Throttle("100/second", by="principal"),
        store=os.environ.get("GATEKEEP_STORE", "memory://"),
    )
    return gateway.init_app(app)
