"""When a set-up has written too much."""

from __future__ import annotations

import pytest

from sandbox.setup.disk_use import DiskLimits, DiskSpace, excess

LIMITS = DiskLimits(size_bytes=1000, files=100)
BEFORE = DiskSpace(size_bytes=50_000, files=5_000)


@pytest.mark.parametrize(
    ("written", "lost_bytes", "lost_files", "counted", "why"),
    [
        (0, 0, 0, None, ""),
        (1001, 1001, 0, None, "GB"),
        # Others write too; what cannot be theirs alone is the set-up's, seen or not.
        (0, 2000, 0, None, ""),
        (0, 2001, 0, None, "GB"),
        (0, 0, 100, None, ""),
        (0, 0, 101, 100, ""),
        (0, 0, 101, 101, "files"),
        (0, 0, 201, None, "files"),
    ],
)
def test_too_much(
    written: int, lost_bytes: int, lost_files: int, counted: int | None, why: str
) -> None:
    def count() -> int:
        assert counted is not None, "counted without need"
        return counted

    now = DiskSpace(BEFORE.size_bytes - lost_bytes, BEFORE.files - lost_files)
    found = excess(LIMITS, written, BEFORE, now, count)
    assert (why in found) if why else not found


def test_what_others_remove_is_no_credit() -> None:
    most = BEFORE.most(DiskSpace(60_000, 4_000))
    assert most == DiskSpace(60_000, 5_000)
