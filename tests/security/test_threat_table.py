"""The guide's tables of attacks name tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def section() -> str:
    return (ROOT / "docs" / "security.md").read_text("utf-8").partition("\n## Attacks\n")[2].partition("\n## ")[0]


def is_there(name: str) -> bool:
    """Whether a file has the test that is named after it, or is there, where none is named."""
    file, _, test = name.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    return not test or re.search(rf"^(async )?def {test}\(", path.read_text("utf-8"), re.MULTILINE) is not None


def test_every_attack_of_the_guide_names_its_tests() -> None:
    lines = section().splitlines()
    heads = {place - 1 for place, line in enumerate(lines) if line.startswith("|---")}
    rows = [line for place, line in enumerate(lines) if line.startswith("| ") and place not in heads]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row)
        assert named, row
        assert [name for name in named if not is_there(name)] == []


def test_every_attack_that_is_tested_is_in_the_guide() -> None:
    here = {f"tests/security/{file.name}" for file in Path(__file__).parent.glob("test_*.py")} - {
        "tests/security/test_threat_table.py"
    }
    assert here <= {name.partition("::")[0] for name in re.findall(r"`(tests/[^`]+)`", section())}
