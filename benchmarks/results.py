"""Tables of figures: printed as Markdown, kept as JSON in benchmarks/results/, written into the guide."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gatekeep import COMPILED

from .report import write

__all__ = ["FOLDER", "PAGE", "Cell", "Table", "add_docs", "load", "machine", "publish", "save", "spread"]

FOLDER = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"

Cell = str | float | None
"""Text, or a figure; None is an empty cell."""


@dataclass(frozen=True)
class Table:
    """A title, the columns' names, rows of as many cells, and what a reader has to know beside them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = field(default_factory=tuple)

    def markdown(self) -> str:
        numeric = [all(not isinstance(row[n], str) or _is_figure(row[n]) for row in self.rows) for n in range(len(self.columns))]
        lines = [f"**{self.title}**", ""]
        lines.append(f"| {' | '.join(self.columns)} |")
        lines.append(f"|{'|'.join('---:' if right else '---' for right in numeric)}|")
        lines += [f"| {' | '.join(_text(cell) for cell in row)} |" for row in self.rows]
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(lines) + "\n"


def spread(low: float, high: float, digits: int = 1) -> str:
    """Two quartiles as a cell."""
    return f"{low:,.{digits}f} to {high:,.{digits}f}"


def machine() -> str:
    """What the figures were measured on, in a line, and which build of gatekeep."""
    build = "compiled build" if COMPILED else "pure Python"
    return f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}, {os.cpu_count()} cores; {build}."


def add_docs(parser: argparse.ArgumentParser) -> None:
    """The option by which a command keeps its tables."""
    parser.add_argument("--docs", action="store_true", help="keep the tables, and write them into the guide")


def publish(name: str, tables: Sequence[Table], options: argparse.Namespace) -> None:
    """Print a command's tables; with --docs keep them, and write all that it has kept into its block of the guide."""
    print("\n".join(table.markdown() for table in tables))
    if options.docs:
        save(name, tables)
        write(PAGE, name, "\n".join(table.markdown() for table in load(name)))


def save(name: str, tables: Sequence[Table], folder: Path = FOLDER) -> None:
    """Keep a command's tables. Tables that it kept under other titles stay: a run may measure a part."""
    folder.mkdir(exist_ok=True)
    kept = {table.title: table for table in load(name, folder)} | {table.title: table for table in tables}
    text = json.dumps({"machine": machine(), "tables": [asdict(table) for table in kept.values()]}, indent=1)
    (folder / f"{name}.json").write_text(text + "\n", "utf-8")


def load(name: str, folder: Path = FOLDER) -> list[Table]:
    """A command's tables of its last run; none where it was never run."""
    path = folder / f"{name}.json"
    return [Table(**table) for table in json.loads(path.read_text("utf-8"))["tables"]] if path.exists() else []


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:,.1f}"


def _is_figure(cell: Cell) -> bool:
    return isinstance(cell, str) and cell[:1] in "+-0123456789" and " " not in cell.removesuffix(" µs")
