"""The guide's table of attacks names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_attack_of_the_guide_names_its_tests() -> None:
    section = (ROOT / "docs" / "security.md").read_text("utf-8").partition("\n## Attacks\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named, row
        assert [name for name in named if not (ROOT / name).is_file()] == []
    here = {f"tests/security/{file.name}" for file in Path(__file__).parent.glob("test_*.py")} - {
        "tests/security/test_threat_table.py"
    }
    assert here <= set(re.findall(r"`(tests/[^`]+)`", section))
