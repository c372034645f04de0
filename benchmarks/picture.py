"""`python -m benchmarks.picture`: draws what the other commands have kept (--docs) into docs/performance.svg."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .report import write
from .results import PAGE, Cell, Table, load

__all__ = ["Bar", "beside_proxies", "draw", "over_the_wire", "with_growth"]

_OURS, _OTHERS, _BARE = "#2a6f97", "#c98a4b", "#9aa5b1"


class Bar(NamedTuple):
    """A row of the picture: what it is of, its length, and its colour."""

    name: str
    length: float
    colour: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.picture", description=__doc__)
    parser.add_argument("--to", type=Path, default=PAGE.with_suffix(".svg"), help="the file (default docs/performance.svg)")
    options = parser.parse_args()
    draw(options.to)
    if options.to == PAGE.with_suffix(".svg"):
        write(PAGE, "picture", f"![Requests over a socket, beside proxies, and as the numbers grow]({options.to.name})")


def draw(path: Path) -> None:
    """Three charts in one file; the same file for the same figures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "gatekeep", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
    charts = [(title, bars, goal) for title, make, goal in _CHARTS if (bars := list(make()))]
    figure = Figure(figsize=(8.5, sum(0.9 + 0.26 * len(bars) for _, bars, _ in charts)), layout="constrained")
    axes: Any = figure.subplots(len(charts), squeeze=False, height_ratios=[len(bars) + 2 for _, bars, _ in charts])
    for axis, (title, bars, goal) in zip(axes[:, 0], charts, strict=True):
        drawn = axis.barh([bar.name for bar in bars], [bar.length for bar in bars], color=[bar.colour for bar in bars])
        axis.bar_label(drawn, fmt="%.3g", padding=3)
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
        axis.axvline(0, color="#444444", linewidth=0.8)
        if goal is not None:
            axis.axvline(goal, color="#444444", linewidth=0.8, linestyle=":")
    figure.savefig(path, format="svg", metadata={"Date": None})


def over_the_wire() -> Iterator[Bar]:
    """CPU of the server's processes a request, flat out."""
    for row in _rows("wire", lambda title: title.endswith("flat out")):
        name = f"{row['server, app']}: {row['case']}"
        yield Bar(name, _number(row["CPU µs"]), _BARE if row["case"] == "bare" else _OURS)


def beside_proxies() -> Iterator[Bar]:
    """CPU that each way to the app adds to a request."""
    for row in _rows("proxies", lambda _: True):
        if row["added"]:
            name = str(row["way"])
            yield Bar(name, _number(row["added"]), _OURS if name.startswith("gatekeep") else _OTHERS)


def with_growth() -> Iterator[Bar]:
    """The largest number of each thing, as a multiple of what the smallest takes."""
    for table in load("scale"):
        for row in (dict(zip(table.columns, each, strict=True)) for each in table.rows):
            growth = row.get("of the fewest") or row.get("of one") or row.get("of none")
            if growth:
                what = row.get("what") or ", ".join(filter(None, (table.title, row.get("way"))))
                many = row.get("how many") or row.get("workers") or row.get("open")
                yield Bar(f"{what}: {many}", _number(growth), _BARE if row.get("way") == "bare" else _OURS)


_CHARTS: tuple[tuple[str, Callable[[], Iterator[Bar]], float | None], ...] = (
    ("Over the wire, CPU µs a request of the server", over_the_wire, None),
    ("Added to the app's CPU µs a request, flat out", beside_proxies, None),
    ("As it grows: times what the fewest take; dotted: the goal", with_growth, 1.3),
)


def _rows(name: str, wanted: Callable[[str], bool]) -> Iterator[dict[str, Cell]]:
    tables: list[Table] = [table for table in load(name) if wanted(table.title)]
    for table in tables:
        for row in table.rows:
            # Of columns with one name the first counts.
            yield dict(reversed(list(zip(table.columns, row, strict=True))))


def _number(cell: Cell) -> float:
    return float(re.sub(r"[^\d.-]", "", str(cell)))


if __name__ == "__main__":
    main()
