"""What a project's history says about how it makes changes: decisions from plain records."""

from __future__ import annotations

import pytest

from app.conventions.changes import ChangedPath, PastChange, read_log
from app.conventions.habits import habits, is_fix
from app.conventions.messages import MessageStyle, message_style


def fix(number: int, *files: str, new: tuple[str, ...] = ()) -> PastChange:
    touched = [ChangedPath("src/a.py", False), *(ChangedPath(f, False) for f in files)]
    return PastChange(
        subject=f"Fix #{number}: wrong sum",
        body="",
        author="ada",
        files=(*touched, *(ChangedPath(f, True) for f in new)),
    )


def test_eighteen_of_the_last_twenty_fixes_touched_the_log() -> None:
    changes = [fix(n, *(("CHANGES.rst",) if n > 2 else ())) for n in range(1, 21)]
    others = [PastChange("Add a feature", "", "ada", (ChangedPath("src/b.py", True),))] * 50
    (found,) = habits([*others, *changes, *[fix(n) for n in range(50)]])
    assert (found.kind, found.paths, found.touched, found.of) == (
        "changelog",
        ("CHANGES.rst",),
        18,
        20,
    )
    assert habits([fix(n, *(("CHANGES.rst",) if n % 2 else ())) for n in range(20)]) == ()
    assert habits([fix(n, "CHANGES.rst") for n in range(5)]) == (), "too few to show a habit"


def test_entries_of_their_own_take_the_place_of_the_log() -> None:
    changes = [fix(n, new=(f"changelog.d/{n}.bugfix.md",)) for n in range(12)]
    (found,) = habits([fix(0, "CHANGELOG.md"), *changes])
    assert (found.kind, found.paths, found.example) == (
        "changelog entry",
        ("changelog.d/",),
        "changelog.d/0.bugfix.md",
    )


def test_a_log_per_version_is_known_by_its_folder_and_documents_by_theirs() -> None:
    changes = [fix(n, f"changes/{n // 8}.0.rst", "docs/guide.md") for n in range(16)]
    assert [(h.kind, h.paths) for h in habits(changes)] == [
        ("changelog", ("changes/",)),
        ("docs", ("docs/",)),
    ]


@pytest.mark.parametrize(
    ("subject", "body", "files", "merges", "yes"),
    [
        ("Fix crash", "", ("src/a.py",), False, True),
        ("fix(core): crash", "", ("src/a.go",), False, True),
        ("Merge pull request #3 from x/y", "Correct the sum\n\nmore", ("src/a.py",), True, True),
        ("Merge pull request #3 from x/fix-it", "Add a thing", ("src/a.py",), True, False),
        ("Fix typo in docs", "", ("src/a.py",), False, False),
        ("chore: fix the build", "", ("src/a.py",), False, False),
        ("Fix crash", "", ("tests/test_a.py",), False, False),
        ("Prefix names", "", ("src/a.py",), False, False),
    ],
)
def test_what_counts_as_a_fix(
    subject: str, body: str, files: tuple[str, ...], merges: bool, yes: bool
) -> None:
    paths = tuple(ChangedPath(f, False) for f in files)
    assert is_fix(PastChange(subject, body, "ada", paths, merges)) is yes


@pytest.mark.parametrize(
    ("subjects", "title", "expected"),
    [
        (["feat: add x", "fix(core): y", "chore!: z"], "Sum is wrong", "fix: sum is wrong"),
        (["feat: Add x", "fix: Y", "docs: Z"], "Sum is wrong", "fix: Sum is wrong"),
        (["feat: add x", "fix: y", "docs: z"], "feat: HTTP fails", "fix: HTTP fails"),
        (["Fixed #123 -- Made x.", "Refs #1 -- y"], "Sum", "Fixed #7 -- Sum"),
        (["[Fix] a thing", "Add b"], "Sum", "[Fix] sum"),
        (["BUG: a thing", "DOC: b"], "Sum", "BUG: sum"),
        (["fix #12: a thing", "add b"], "Sum", "fix #7: sum"),
        (["Add a", "Repair b", "Remove c"], "Sum", "Fix: Sum"),
    ],
)
def test_commits_are_worded_as_the_projects_own(
    subjects: list[str], title: str, expected: str
) -> None:
    changes = [PastChange(s, "", "ada") for s in subjects * 8]
    assert message_style(changes).subject(title, 7) == expected


def test_bots_and_few_commits_show_no_style_and_a_sign_off_is_seen() -> None:
    robot = [PastChange("fix: x", "", "renovate[bot]")] * 30
    assert message_style(robot) == message_style(robot[:3]) == MessageStyle()
    signed = [PastChange("Do it", "Why.\n\nSigned-off-by: Ada <a@x>\n", "ada")] * 12
    assert message_style(signed).signed_off


def test_the_log_of_git_is_read_whatever_messages_hold() -> None:
    told = (
        "\x01p1 p2\x02ada\x02Merge it\x02body\nof two\x02\n\0M\0src/a.py\0A\0new file.md\0"
        "\x01p3\x02eve\x02odd \x02x\x02 y\0\x01broken\x01p4\x02bob\x02last\x02\x02\0"
    )
    first, odd, last = read_log(told)
    assert first.merges and [(f.path, f.is_new) for f in first.files] == [
        ("src/a.py", False),
        ("new file.md", True),
    ]
    assert odd.author == "eve" and last.subject == "last" and last.files == ()
