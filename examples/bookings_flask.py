"""A Flask app that is validated by an OpenAPI file: requests are refused, its own answers are reported.

flask --app examples/bookings_flask.py run
curl -i "http://127.0.0.1:5000/v1/rooms/blue/bookings?guests=0"
"""

from pathlib import Path

from flask import Flask, jsonify

from gatekeep import Gateway, Validate, current

DOCUMENT = Path(__file__).with_name("bookings.yaml")
BOOKINGS = {1: {"number": 1, "room": "blue", "state": "settled", "wish": {"day": "2026-05-01", "guests": 2}}}

app = Flask(__name__)


@app.get("/v1/rooms/<room>/bookings")
def list_bookings(room: str):
    day = current().valid["query"].get("day")
    return jsonify([one for one in BOOKINGS.values() if one["room"] == room and day in (None, one["wish"]["day"])])


@app.post("/v1/rooms/<room>/bookings")
def add_booking(room: str):
    wish = current().valid["body"]
    return {"number": len(BOOKINGS) + 1, "room": room, "state": "asked", "wish": wish}, 201


@app.get("/v1/bookings/<number>")
def read_booking(number: str):
    booking = BOOKINGS.get(current().valid["path"]["number"])
    if booking is None:
        return {"status": 404, "code": "no_booking"}, 404, {"Content-Type": "application/problem+json"}
    return booking


Gateway(Validate(openapi=DOCUMENT, unknown_query="refuse", answers="report")).init_app(app)
