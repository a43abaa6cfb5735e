"""A commit's own history: its ancestors whole, nothing later, and cheap for the next commit."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal.events import now
from app.git import ancestry
from app.git.commit_history import CommitHistories, CommitHistory, HistoryLimits
from app.git.local import mirror_local
from app.git.mirror import Mirror
from app.git.process import GitMissing
from app.server.sweeps import sweep_histories
from app.settings.schema import Settings
from tests.support.github.app import git


@pytest.fixture
def origin(made_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_once, tmp_path / "origin"))


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty commits with a merge of an old branch, tags, and things that nobody may see."""
    work = tmp_path_factory.mktemp("origin")
    git(work, "init", "-q", "-b", "main")
    add(work, "0")
    git(work, "checkout", "-q", "-b", "old")
    add(work, "old", changed=())
    git(work, "checkout", "-q", "main")
    for number in range(1, 20):
        add(work, str(number))
    git(work, "tag", "v1")
    git(work, "merge", "-q", "--no-ff", "-m", "merge", "old")
    for number in range(20, 38):
        add(work, str(number))
    git(work, "tag", "-a", "-m", "second", "v2")
    base = git(work, "rev-parse", "HEAD")
    git(work, "branch", "base", base)
    add(work, "later secret")
    git(work, "tag", "-a", "-m", "third", "v3")
    git(work, "notes", "add", "-m", "noted secret", base)
    git(work, "checkout", "-q", "-b", "side", base)
    add(work, "side secret")
    git(work, "checkout", "-q", "main")
    return work


def add(work: Path, text: str, changed: tuple[str, ...] = ("file.txt",)) -> str:
    for name in changed:
        (work / name).write_text(f"{text}\n")
    (work / f"{text}.txt").write_text(f"{text}\n" * 3)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", f"Add {text}")
    return git(work, "rev-parse", "HEAD")


@pytest.fixture
def mirror(origin: Path, tmp_path: Path) -> Mirror:
    made = Mirror(tmp_path / "mirror.git", str(origin))
    made.fetch()
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[CommitHistory], Path]:
    """Unpacks a history as a sandbox does, and checks all its objects."""

    def unpack(history: CommitHistory) -> Path:
        place = tmp_path / f"checkout-{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        history.write_tar(place / "h.tar")
        subprocess.run(["tar", "-x", "-f", "h.tar"], cwd=place, check=True)
        (place / "h.tar").unlink()
        git(place, "checkout", "-q", "-f", "HEAD")
        git(place, "fsck", "--full", "--strict")
        return place

    return unpack


def objects(place: Path) -> set[str]:
    listed = git(place, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return set(listed.split())


def content(place: Path) -> bytes:
    """All objects, reachable or not."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch"]
    return subprocess.run(command, cwd=place, capture_output=True, check=True).stdout


def test_all_ancestors_and_their_tags_are_there_and_nothing_later(
    origin: Path, mirror: Mirror, tmp_path: Path, checkout: Callable[[CommitHistory], Path]
) -> None:
    base = git(origin, "rev-parse", "base")
    history = CommitHistories(mirror, tmp_path / "h").of(base)
    assert history is not None and (history.commits, history.is_cut) == (40, False)
    place = checkout(history)
    assert git(place, "rev-list", "HEAD") == git(origin, "rev-list", "base")
    assert git(place, "describe", "--tags") == "v2"
    assert git(place, "log", "--format=%s", "-S", "old", "--", "old.txt") == "Add old"
    assert git(place, "status", "--porcelain") == ""
    assert git(place, "for-each-ref", "--format=%(refname)").split() == [
        "refs/tags/v1",
        "refs/tags/v2",
    ]
    reachable = git(origin, "rev-list", "--objects", "base", "v2").split("\n")
    tag = git(origin, "rev-parse", "v2")
    assert objects(place) == {line.split()[0] for line in reachable if line} | {tag}
    everything = content(place)
    assert b"secret" not in everything


def test_a_long_history_is_cut_by_generations(
    origin: Path, mirror: Mirror, tmp_path: Path, checkout: Callable[[CommitHistory], Path]
) -> None:
    base = git(origin, "rev-parse", "base")
    history = CommitHistories(mirror, tmp_path / "h", HistoryLimits(commits=30)).of(base)
    assert history is not None and history.is_cut
    place = checkout(history)
    given = git(place, "rev-list", "HEAD").split()
    assert 28 <= len(given) == history.commits <= 30
    # By date, all would end at the merge of the old branch, 19 commits ago.
    assert "Add 11" in git(place, "log", "--format=%s").splitlines()
    assert git(place, "show", "HEAD~3:30.txt").split() == ["30"] * 3


def test_the_next_commit_adds_only_what_is_new(
    origin: Path, mirror: Mirror, tmp_path: Path, checkout: Callable[[CommitHistory], Path]
) -> None:
    histories = CommitHistories(mirror, tmp_path / "h", HistoryLimits(commits=30))
    first = histories.of(git(origin, "rev-parse", "base"))
    later = histories.of(git(origin, "rev-parse", "main"))
    assert first is not None and later is not None
    packs = [
        {file.name: file.stat().st_ino for file in (each.folder / "objects/pack").glob("pack-*")}
        for each in (first, later)
    ]
    assert packs[0].items() < packs[1].items(), "what is known is shared, not packed again"
    place = checkout(later)
    assert git(place, "log", "--format=%s", "-1") == "Add later secret"
    assert git(place, "describe") == "v3"
    assert b"side secret" not in content(place)
    side = histories.of(git(origin, "rev-parse", "side"))
    assert side is not None
    assert b"later" not in content(checkout(side))


def test_a_commit_before_a_kept_one_sees_nothing_of_it(
    origin: Path, mirror: Mirror, tmp_path: Path, checkout: Callable[[CommitHistory], Path]
) -> None:
    histories = CommitHistories(mirror, tmp_path / "h")
    histories.of(git(origin, "rev-parse", "main"))
    earlier = histories.of(git(origin, "rev-parse", "base~5"))
    assert earlier is not None
    place = checkout(earlier)
    assert objects(place) == {
        line.split()[0] for line in git(origin, "rev-list", "--objects", "base~5").splitlines()
    }


def test_tags_made_after_a_moment_are_left_out(
    origin: Path, mirror: Mirror, tmp_path: Path, checkout: Callable[[CommitHistory], Path]
) -> None:
    base = git(origin, "rev-parse", "base")
    history = CommitHistories(mirror, tmp_path / "h").of(base, tags_until=1_000_000_000)
    assert history is not None
    assert git(checkout(history), "tag") == ""


def test_a_history_that_is_too_large_gets_shorter_and_at_last_is_none(
    origin: Path, mirror: Mirror, tmp_path: Path
) -> None:
    for number in range(30):
        noise = subprocess.run(
            ["head", "-c", "20000", "/dev/urandom"], capture_output=True, check=True
        ).stdout
        (origin / "noise.bin").write_bytes(noise)
        git(origin, "add", "-A")
        git(origin, "commit", "-q", "-m", f"noise {number}")
    mirror.fetch()
    tip = git(origin, "rev-parse", "main")
    limits = HistoryLimits(commits=100, size_bytes=500_000)
    shorter = CommitHistories(mirror, tmp_path / "a", limits).of(tip)
    assert shorter is not None and shorter.is_cut and shorter.commits < 35
    assert CommitHistories(mirror, tmp_path / "b", HistoryLimits(100, 100_000)).of(tip) is None


def test_paths_outside_of_a_sparse_tree_are_not_deleted_files(
    origin: Path, mirror: Mirror, tmp_path: Path
) -> None:
    base = git(origin, "rev-parse", "base")
    history = CommitHistories(mirror, tmp_path / "h").of(base, sparse=("file.txt",))
    assert history is not None
    place = tmp_path / "sparse"
    place.mkdir()
    history.write_tar(tmp_path / "h.tar")
    subprocess.run(["tar", "-x", "-f", "../h.tar"], cwd=place, check=True)
    (place / "file.txt").write_text("37\n")
    assert git(place, "status", "--porcelain") == ""


def test_what_a_dead_process_left_and_old_histories_are_cleared(
    origin: Path, mirror: Mirror, tmp_path: Path
) -> None:
    folder = tmp_path / "h"
    (folder / ".new-dead" / "git").mkdir(parents=True)
    histories = CommitHistories(mirror, folder)
    commits = git(origin, "rev-list", "main").split()[:6]
    for commit in reversed(commits):
        assert histories.of(commit) is not None
    kept = {each.name for each in folder.iterdir() if not each.name.startswith(".lock")}
    assert kept == set(commits[:4])


def test_a_commit_that_is_not_there_is_named(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(GitMissing, match="0000000"):
        CommitHistories(mirror, tmp_path / "h").of("0" * 40)


def test_a_mirror_of_a_shallow_clone_has_what_the_clone_has(
    origin: Path, tmp_path: Path, checkout: Callable[[CommitHistory], Path]
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=7", f"file://{origin}", str(clone))
    local = mirror_local(clone, tmp_path / "local")
    history = CommitHistories(local.mirror, tmp_path / "h").of(local.commit)
    assert history is not None and (history.commits, history.is_cut) == (7, True)
    assert git(checkout(history), "describe") == "v3"


def test_others_do_not_take_the_place_of_one_that_is_read(
    mirror: Mirror, origin: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    commits = git(origin, "rev-list", "--max-count=6", "--no-merges", "base").split()
    with CommitHistories(mirror, folder).held(commits[0]) as found:
        # The kernel's lock keeps out whoever would make room for other commits.
        with (folder / ".lock").open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert found is not None
        assert found.write_tar(tmp_path / "history.tar").commits == found.commits
    for commit in commits[1:]:
        CommitHistories(mirror, folder).of(commit)
    assert not found.folder.exists()


def test_what_nobody_used_for_a_month_is_swept_and_what_is_read_is_not(
    mirror: Mirror, tmp_path: Path
) -> None:
    settings = Settings(state_dir=tmp_path)
    folder = tmp_path / "histories" / "repository"
    histories = CommitHistories(mirror, folder)
    tip = git(mirror.git_dir, "rev-parse", "base")
    (old, new) = (histories.of(git(mirror.git_dir, "rev-parse", name)) for name in ("base~1", tip))
    assert old is not None
    assert new is not None
    month = (now() - timedelta(days=31)).timestamp()
    os.utime(old.folder, (month, month))
    (folder / ".old-left").mkdir()
    with histories.held(tip):
        sweep_histories(settings, now() + timedelta(days=99))
        assert old.folder.exists()
    sweep_histories(settings, now())
    assert not old.folder.exists()
    assert not (folder / ".old-left").exists()
    assert git(new.folder, "rev-list", "--count", "HEAD") == str(new.commits)
    sweep_histories(settings, now() + timedelta(days=31))
    assert [each.name for each in folder.iterdir()] == [".lock"]
    sweep_histories(Settings(state_dir=tmp_path / "none"), now())


def test_a_commit_without_a_time_is_listed(origin: Path) -> None:
    raw = f"tree {git(origin, 'rev-parse', 'base^{tree}')}\nauthor A\ncommitter A\n\nOdd\n"
    ask = ["git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"]
    made = subprocess.run(ask, cwd=origin, input=raw.encode(), capture_output=True, check=True)
    [odd] = ancestry.log(Mirror(origin / ".git", ""), made.stdout.decode().strip(), 9)
    assert (odd.at, odd.subject) == (0, "Odd")
