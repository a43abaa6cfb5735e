"""Patches applied to text, strictly: what git writes applies, and nothing that is off by a line."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from agent.gate.patch.apply import changed_files, differences, patched_text
from agent.gate.patch.parse import BadPatch, parse_patch, without_hunks
from agent.testing.collection import PytestCollection
from tests.doubles import gate_case as case

BASE = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"


def diff_of(folder: Path, before: str, after: str) -> str:
    """What git says of a change of one file."""
    git = ["git", "-C", str(folder), "-c", "user.email=a@b", "-c", "user.name=a"]
    subprocess.run([*git, "init", "-q"], check=True)
    file = folder / "f.txt"
    file.write_text(before)
    subprocess.run([*git, "add", "-A"], check=True)
    file.write_text(after)
    made = subprocess.run([*git, "diff", "--full-index"], check=True, capture_output=True)
    return made.stdout.decode()


@pytest.mark.parametrize("seed", range(25))
def test_what_git_writes_is_applied_to_the_letter(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    lines = [chance.choice("abc ") * chance.randint(0, 3) for _ in range(chance.randint(0, 12))]
    changed = list(lines)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(changed))
        changed[at : at + chance.randint(0, 2)] = [f"X{chance.randint(0, 9)}"]
    before = "\n".join(lines) + ("\n" if lines and chance.random() < 0.7 else "")
    after = "\n".join(changed) + ("\n" if changed and chance.random() < 0.7 else "")
    patch = diff_of(tmp_path, before, after)
    (change,) = parse_patch(patch)
    assert patched_text(before, change, patch) == after


def test_a_hunk_at_another_line_is_refused(tmp_path: Path) -> None:
    patch = diff_of(tmp_path, BASE, BASE.replace("five", "FIVE"))
    for header in ("@@ -3,5 +3,5 @@", "@@ -1,6 +1,6 @@", "@@ -502,6 +502,6 @@"):
        moved = patch.replace("@@ -2,6 +2,6 @@", header)
        if moved == patch:
            continue
        with pytest.raises(BadPatch):
            (change,) = parse_patch(moved)
            patched_text(BASE, change, moved)


def test_a_base_that_is_not_the_patchs_is_refused(tmp_path: Path) -> None:
    patch = diff_of(tmp_path, BASE, BASE.replace("five", "FIVE"))
    (change,) = parse_patch(patch)
    with pytest.raises(BadPatch, match="does not stand where its header says"):
        patched_text("zero\n" + BASE, change, patch)
    with pytest.raises(BadPatch):
        patched_text(None, change, patch)


def test_a_place_in_the_new_file_that_is_not_the_hunks_is_refused(tmp_path: Path) -> None:
    twice = BASE + BASE
    patch = diff_of(tmp_path, twice, twice.replace("five", "FIVE", 1))
    moved = patch.replace("@@ -2,7 +2,7 @@", "@@ -2,7 +9,7 @@")
    assert moved != patch, "git would change the second five"
    (change,) = parse_patch(moved)
    with pytest.raises(BadPatch, match="does not stand where its header says"):
        patched_text(twice, change, moved)


def test_a_deletion_takes_every_line(tmp_path: Path) -> None:
    whole = case.patch({"a.txt": None}, {"a.txt": BASE})
    (change,) = parse_patch(whole)
    assert patched_text(BASE, change, whole) is None
    with pytest.raises(BadPatch, match="not all of its lines"):
        patched_text(f"{BASE}eight\n", change, whole)


def test_the_remaining_hunks_have_correct_headers(tmp_path: Path) -> None:
    long = "".join(f"{n}\n" for n in range(40))
    after = long.replace("\n3\n", "\n3\nmore\n").replace("\n30\n", "\nthirty\n")
    patch = diff_of(tmp_path, long, after)
    (change,) = parse_patch(patch)
    left = without_hunks(patch, [change.hunks[0]])
    assert patched_text(long, parse_patch(left)[0], left) == long.replace("\n30\n", "\nthirty\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"a.txt": "new\n"}, ""),
        ({"a.txt": "new\n", "test_a.py": "x\n"}, ""),
        ({"a.txt": "other\n"}, "differs from what the patch says"),
        ({"a.txt": "new\n", "b.txt": "more\n"}, "b.txt differs from what the patch says"),
        ({"a.txt": "new\n", "test_a.py": "y\n"}, "test_a.py differs from what the patch says"),
        ({}, "ignored by the repository"),
    ],
)
def test_a_trees_diff_is_the_patch_and_the_gates_own_files(
    changes: dict[str, str], reason: str
) -> None:
    base = {"a.txt": "old\n"}
    judged = case.patch({"a.txt": "new\n"}, base)
    files = changed_files(parse_patch(judged), base, judged, PytestCollection())
    found = differences(case.patch(changes, base), files, {"test_a.py": "x\n", "gone.py": None})
    assert reason in " ".join(found) and bool(found) == bool(reason)
