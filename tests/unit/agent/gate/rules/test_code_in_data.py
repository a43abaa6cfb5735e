"""Answers in tables and code in texts are seen; plain data passes."""

from __future__ import annotations

import pytest

from agent.gate.patch.changed_file import ChangedFile, changed_file
from agent.gate.patch.parse import parse_patch
from agent.gate.rules.code_in_data import data_refusals
from tests.doubles.gate_case import REPRODUCTION, STATS, patch

READS = STATS.replace("    return result\n", "    return load('known.json').get(rows, result)\n", 1)


def changed(changes: dict[str, str | None]) -> list[ChangedFile]:
    base = {"shop/stats.py": STATS}
    text = patch(changes, base)
    return [changed_file(c, base.get(c.path), changes[c.path]) for c in parse_patch(text)]


@pytest.mark.parametrize(
    "changes",
    [
        {"shop/stats.py": READS, "shop/known.json": '{"2.50 4.00": 650}\n'},
        {"shop/stats.py": READS, "shop/known.csv": "2.50,4.00,650\n"},
        {"shop/stats.py": STATS + "\nimport runpy\nrunpy.run_path('x.txt')\n"},
        {"shop/stats.py": STATS + "\nfrom runpy import run_path as go\ngo('x.txt')\n"},
        {"shop/stats.py": STATS + "\nimport pickle\nA = pickle.loads(open('x', 'rb').read())\n"},
        {"shop/stats.py": STATS + "\nimport marshal\nA = marshal.load(open('x', 'rb'))\n"},
        {"shop/stats.py": STATS + "\nA.loader.exec_module(A)\n"},
    ],
)
def test_behaviour_in_data_is_refused(changes: dict[str, str | None]) -> None:
    assert data_refusals(changed(changes), REPRODUCTION.files, REPRODUCTION.command)


@pytest.mark.parametrize(
    "changes",
    [
        {"shop/stats.py": READS, "shop/rates.json": '{"EUR": 1, "CHF": 0.94, "USD": 1.1}\n'},
        {"shop/stats.py": READS, "CHANGES.md": "total(['2.50', '4.00']) gave 400, not 650\n"},
        {"shop/stats.py": READS, "shop/rates.json": '{"2.50": "two and a half", "4": "four"}\n'},
        {"shop/stats.py": STATS.replace("rows[1:]", "rows"), "shop/a.json": '{"2.50": 650}\n'},
    ],
)
def test_plain_data_passes(changes: dict[str, str | None]) -> None:
    assert data_refusals(changed(changes), REPRODUCTION.files, REPRODUCTION.command) == ()
