"""A FastAPI app behind a gateway.

fastapi run examples/fastapi_app.py
curl -i http://127.0.0.1:8000/books/1 -H "X-Api-Key: reader-key-0123456789"
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel

import gatekeep
from gatekeep import ApiKey, Authorize, Cache, Gateway, Observe, Principal, Throttle

KEYS = ApiKey(
    {
        "reader-key-0123456789": {"owner": "reader", "scopes": ["books:read"]},
        # In earnest only digests stand in a file: python -c "import hashlib; print(hashlib.sha256(b'<key>').hexdigest())"
        "sha256:3578a6388e81701ea2a48b9eac123e2b43f9c4f3f70c460c1f59a01c10c0e13e": {"owner": "clerk", "scopes": ["books:write"]},
    }
)
BOOKS = {1: "The Left Hand of Darkness"}

app = FastAPI()
gateway = Gateway(
    Observe(access_log="json"),
    Authorize(KEYS),
    Throttle("100/second", by="principal"),
    store=os.environ.get("GATEKEEP_STORE", "memory://"),  # redis://… to share limits between workers
)
gateway.init_app(app)


class Book(BaseModel):
    title: str


@app.get("/health")
@Authorize.off()
@Throttle.off()
async def health() -> dict[str, bool]:
    return {"ok": True}


@app.get("/books/{book_id}")
@Authorize(scopes={"books:read"})
@Throttle("10/second", burst=20)
@Cache(ttl=30)
async def read_book(book_id: int) -> Book:
    if book_id not in BOOKS:
        raise HTTPException(404)
    return Book(title=BOOKS[book_id])


@app.post("/books", status_code=201)
@Authorize(scopes={"books:write"})
async def add_book(book: Book, caller: Annotated[Principal, Depends(gatekeep.principal)]) -> dict[str, str]:
    BOOKS[max(BOOKS) + 1] = book.title
    return {"title": book.title, "added_by": caller.id}
