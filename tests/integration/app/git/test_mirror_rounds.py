"""What later rounds need of the mirror: where branches parted, conflicts, commits that follow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.git.mirror import Identity, Mirror, PatchUnusable
from app.git.process import GitMissing
from tests.support.github.app import CART, PATCH, git

BOT = Identity("patchwright[bot]", "patchwright[bot]@users.example")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Place:
    """A repository with a fix on a branch, and its mirror."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        (self.work / "shop").mkdir(parents=True)
        git(self.work, "init", "-q", "-b", "main")
        self.base = self.commit("shop/cart.py", CART)
        self.mirror = Mirror(folder / "mirror.git", str(self.work))
        self.mirror.fetch()
        self.head = self.mirror.commit_patch(
            self.base, PATCH, message="fix", author=BOT, branch="fix", when=WHEN
        )
        self.mirror.push("fix", self.head)

    def commit(self, name: str, text: str) -> str:
        (self.work / name).write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", f"change {name}")
        return git(self.work, "rev-parse", "HEAD")

    def tree(self, commit: str) -> str:
        return git(self.mirror.git_dir, "rev-parse", f"{commit}^{{tree}}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_where_two_branches_parted_and_whether_they_conflict(place: Place) -> None:
    mirror = place.mirror
    assert mirror.merge_base(place.base, place.head) == place.base
    aside = place.commit("README.md", "# Shop\n")
    mirror.fetch()
    assert mirror.merge_base(aside, place.head) == place.base
    assert mirror.conflicts(place.head, aside) == ()
    clash = place.commit("shop/cart.py", CART.replace("t = 1", "t = 10"))
    mirror.fetch()
    assert mirror.conflicts(place.head, clash) == ("shop/cart.py",)
    git(place.work, "checkout", "-q", "--orphan", "other")
    stray = place.commit("README.md", "# Another\n")
    mirror.fetch()
    with pytest.raises(GitMissing):
        mirror.merge_base(stray, place.head)


def test_the_whole_change_of_a_branch_with_a_patch_on_top(place: Place) -> None:
    mirror = place.mirror
    assert "+    t = 0" in mirror.diff(place.base, place.head)
    more = PATCH.replace("-    t = 1\n+    t = 0", "-    t = 0\n+    t = 0  # nothing yet")
    whole = mirror.diff_with(place.base, place.head, more)
    assert "-    t = 1" in whole
    assert "+    t = 0  # nothing yet" in whole
    assert mirror.diff_with(place.base, place.head, "") == mirror.diff(place.base, place.head)
    with pytest.raises(PatchUnusable):
        mirror.diff_with(place.base, place.head, PATCH)


def test_a_commit_follows_the_branch_and_may_join_the_base(place: Place) -> None:
    mirror = place.mirror
    aside = place.commit("README.md", "# Shop\n")
    mirror.fetch()
    whole = mirror.diff(place.base, place.head) + (
        "diff --git a/shop/new.py b/shop/new.py\nnew file mode 100644\n"
        "--- /dev/null\n+++ b/shop/new.py\n@@ -0,0 +1 @@\n+NEW = 1\n"
    )
    made = mirror.commit_patch(
        place.base, whole, message="m", author=BOT, branch="n", when=WHEN, parents=(place.head,)
    )
    assert git(mirror.git_dir, "rev-parse", f"{made}^") == place.head
    again = mirror.commit_patch(
        place.base, whole, message="m", author=BOT, branch="n", when=WHEN, parents=(place.head,)
    )
    assert again == made
    assert "shop/new.py" in mirror.diff(place.head, made)

    same = mirror.diff(place.base, place.head)
    kept = mirror.commit_patch(
        place.base, same, message="m", author=BOT, branch="n", when=WHEN, parents=(place.head,)
    )
    assert kept == place.head, "nothing changed, so there is no commit"

    both = (made, aside)
    joined = mirror.commit_patch(
        aside, whole, message="m", author=BOT, branch="n", when=WHEN, parents=both
    )
    parents = git(mirror.git_dir, "rev-list", "--parents", "-n", "1", joined).split()
    assert parents == [joined, made, aside]
    assert "README.md" not in mirror.diff(aside, joined)
    mirror.push("fix", joined)
    assert git(place.work, "rev-parse", "fix") == joined
