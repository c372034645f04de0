"""Blocks of the guide that commands write: what stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write"]


def write(path: Path, name: str, markdown: str) -> None:
    """Put the text in the place of the block's. Raises ValueError where the page has no such block."""
    page = path.read_text("utf-8")
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->\n"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{path} has no block {name}: {begin.strip()} … {end.strip()}")
    path.write_text(f"{before}{begin}\n{markdown.strip()}\n\n{end}{after}", "utf-8")
