"""The dashboard in a real browser: `make test-browser`. Needs Chromium: CHROMIUM names it, else the first on the PATH is taken.

Not collected with the other tests, which need nothing but wheels. Screenshots are left where SCREENSHOTS says.
"""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from servers import PATIENCE, free_port, serving

expect.set_options(timeout=PATIENCE * 1000)

APP = """
from gatekeep import Alarm, Cache, Gateway, IPRules, Route, Stage, Throttle

async def shop(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    status = 500 if scope["path"].endswith("/broken") else 200
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})

gateway = Gateway(
    Alarm("5xx rate > 5% for 2 s", name="checkout is failing", period=1, clear="for 1 min"),
    Alarm("latency p99 > 30 s for 5 min"),
    stages=[Stage("prod", path="/prod")],
    routes=[
        Route("/orders/{id}", Cache(ttl=60)),
        Route("/carts/{id}/broken"),
        Route("/scarce", Throttle("2/h")),
        Route("/nobody/comes/here/{id}", Alarm("5xx rate > 1% for 60 s")),
    ],
)
gateway.dashboard("/_gatekeep", IPRules(allow=["127.0.0.1"]))
app = gateway.wrap(shop)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("shop")
    (place / "shop.py").write_text(APP)
    port = free_port()
    with serving("uvicorn", "--port", str(port), "--log-level", "warning", "shop:app", port=port, cwd=place):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    assert found is not None, "no Chromium on the PATH; name one with CHROMIUM=/path/to/it"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-background-networking"])
        yield started
        started.close()


class Watched:
    """A page, what its console said, and what it asked for."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.page: Page = browser.new_page(**options)
        self.page.set_default_timeout(PATIENCE * 1000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


def send(url: str, path: str) -> None:
    try:
        urllib.request.urlopen(url + path).read()
    except urllib.error.HTTPError as error:
        error.close()


def shot(page: Page, name: str, tmp_path: Path) -> bytes:
    return page.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path)) / f"dashboard-{name}.png", full_page=True)


def eventually(page: Page, holds: str) -> None:
    """Wait until an expression of the page is true; its policy forbids Playwright's own way to do that."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(holds):
        assert time.monotonic() < end, holds
        page.wait_for_timeout(100)


def asked_again(watched: Watched) -> None:
    """Wait until the page has come back for events several times: each of its connections lasts for one of them."""
    end = time.monotonic() + PATIENCE
    while len([address for address in watched.requests if address.endswith("/events")]) <= 3:
        assert time.monotonic() < end, watched.requests
        watched.page.wait_for_timeout(100)


INK = """() => [...document.querySelectorAll(".uplot canvas")].map((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const colors = ["--first", "--second", "--third"].map((name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  });
  return colors.map(([r, g, b]) => {
    let count = 0;
    for (let at = 0; at < data.length; at += 4)
      if (Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 12 && data[at + 3] > 200) count++;
    return count;
  });
})"""
"""How many pixels of each chart have the color of its first, second and third line. It reads a copy: Chromium complains on the
page's console when the page's own canvas is read more than once."""


def test_the_page_shows_the_traffic_just_made(url: str, browser: Browser, tmp_path: Path) -> None:
    watched = Watched(browser, viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = watched.page
    page.goto(f"{url}/_gatekeep")
    expect(page.locator("#state")).to_contain_text("Live, from process")
    expect(page.locator("#routes")).to_contain_text("No requests yet")
    assert page.evaluate("charts.map((chart) => chart.plot.data[1].reduce((sum, value) => sum + value, 0))[0]") == 0
    alarms = page.locator("#alarms li")
    expect(alarms).to_have_count(3)
    expect(alarms.first).to_contain_text("No data")
    expect(page.get_by_role("alert")).to_have_text("")

    for _ in range(5):
        send(url, "/prod/orders/1")
    for number in range(20):
        send(url, f"/prod/orders/{number}")
    for _ in range(5):
        send(url, "/prod/scarce")
    for _ in range(4):
        send(url, "/prod/carts/7/broken")

    expect(page.locator("[data-figure=count]")).to_have_text("34")
    # Whatever the second before was like, this one's requests have failed, and there were none since: it goes on, as far as
    # anybody knows.
    expect(alarms.first).to_contain_text("Alarm" + "checkout is failing")
    expect(alarms.first).to_contain_text("5xx rate > 5% for 2 s; the whole gateway")
    expect(page.get_by_role("alert")).to_have_text("Raised: checkout is failing")
    expect(page).to_have_title("(1) Traffic · gatekeep")
    rows = page.locator("#routes tr")
    expect(rows).to_have_count(3)
    assert rows.nth(0).locator("th, td").all_text_contents()[:3] == ["/orders/{id}", "prod", "25"]
    assert rows.nth(0).locator("td").last.text_content() == "20 %"
    # What the charts have drawn: each point is of five seconds.
    eventually(page, "Math.round(charts[0].plot.data[1].reduce((sum, now) => sum + (now ?? 0), 0) * 5) == 34")
    sums = page.evaluate(
        """charts.map((chart) => chart.plot.data.slice(1).map((line) => line.reduce((sum, now) => sum + (now ?? 0), 0) * 5))"""
    )
    assert round(sums[0][0]) == 34
    assert [round(line) for line in sums[2]] == [3, 3, 4]  # 4xx, throttled, 5xx
    latency = page.evaluate("charts[1].plot.data.slice(1).map((line) => Math.max(...line))")
    assert 0 < latency[0] <= latency[1] <= latency[2] < 10_000
    # With a second point there are lines, not dots.
    eventually(page, f"(([rate, times, errors]) => rate[0] > 50 && times[2] > 5 && errors[2] > 50)(({INK})())")
    page.emulate_media(reduced_motion="reduce")
    light = shot(page, "light", tmp_path)
    page.emulate_media(color_scheme="dark")
    eventually(page, f"({INK})()[0][0] > 50")  # drawn anew, in the dark colors
    assert shot(page, "dark", tmp_path) != light

    asked_again(watched)
    assert watched.complaints == []
    assert {urlsplit(address).netloc for address in watched.requests if not address.startswith("data:")} == {urlsplit(url).netloc}


def test_on_a_phone(url: str, browser: Browser, tmp_path: Path) -> None:
    send(url, "/prod/orders/1")
    watched = Watched(browser, viewport={"width": 360, "height": 740}, device_scale_factor=2, is_mobile=True, has_touch=True)
    page = watched.page
    page.goto(f"{url}/_gatekeep/")
    expect(page.locator("#routes")).to_contain_text("/orders/{id}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    shot(page, "phone", tmp_path)
    assert watched.complaints == []


def test_what_a_screen_reader_finds(url: str, browser: Browser) -> None:
    send(url, "/prod/orders/1")
    page = Watched(browser).page
    page.goto(f"{url}/_gatekeep")
    for title in ("Alarms", "Last minute", "Last five minutes", "Routes, last five minutes"):
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Live")
    for title in ("Requests a second", "Latency", "Errors and throttles a second", "Answers from the cache"):
        chart = page.get_by_role("img", name=f"{title}, now:")
        expect(chart).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="latency p99 > 30 s for 300 s")).to_contain_text("the whole gateway")
    expect(page.get_by_role("columnheader", name="Throttled/s")).to_be_visible()
    expect(page.get_by_role("rowheader", name="/orders/{id}")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "scroll"
