"""A FastAPI app that is validated by an OpenAPI file: requests are refused, its own answers are reported.

fastapi run examples/bookings_fastapi.py
curl -i "http://127.0.0.1:8000/v1/rooms/blue/bookings?guests=0"
"""

from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from gatekeep import Gateway, Validate, current

DOCUMENT = Path(__file__).with_name("bookings.yaml")
BOOKINGS = {1: {"number": 1, "room": "blue", "state": "settled", "wish": {"day": "2026-05-01", "guests": 2}}}

app = FastAPI(openapi_url=None)


@app.get("/v1/rooms/{room}/bookings")
async def list_bookings(room: str) -> Response:
    day = current().valid["query"].get("day")
    return JSONResponse([one for one in BOOKINGS.values() if one["room"] == room and day in (None, one["wish"]["day"])])


@app.post("/v1/rooms/{room}/bookings")
async def add_booking(room: str) -> Response:
    wish = current().valid["body"]
    return JSONResponse({"number": len(BOOKINGS) + 1, "room": room, "state": "asked", "wish": wish}, 201)


@app.get("/v1/bookings/{number}")
async def read_booking(number: str) -> Response:
    booking = BOOKINGS.get(current().valid["path"]["number"])
    if booking is None:
        return JSONResponse({"status": 404, "code": "no_booking"}, 404, media_type="application/problem+json")
    return JSONResponse(booking)


Gateway(Validate(openapi=DOCUMENT, unknown_query="refuse", answers="report")).init_app(app)
