"""Mirrors with real git: what goes out of them, what comes in, and what they refuse."""

import os
import subprocess
import tarfile
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.git.mirror import BranchTaken, Identity, Mirror, PatchUnusable, forget_unused
from app.git.process import GitAway, GitError, GitMissing, run_git
from tests.support.github.app import CART, PATCH, git

BOT = Identity("patchwright[bot]", "patchwright[bot]@users.example")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with a file of every kind that an archive could get wrong."""
    work = tmp_path / "origin"
    (work / "shop").mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    (work / "shop" / "cart.py").write_text(CART)
    (work / "run.sh").write_text("#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    (work / "crlf.txt").write_bytes(b"a\r\nb\r\n")
    (work / "lf.txt").write_bytes(b"a\nb\n")
    (work / "bytes.bin").write_bytes(bytes(range(256)))
    (work / "secret.txt").write_text("kept\n")
    (work / "version.txt").write_text("$Format:%H$ $Id$\n")
    (work / "utf16.txt").write_text("x\n")
    (work / "naïve name.txt").write_text("x\n")
    (work / "link").symlink_to("shop/cart.py")
    (work / "out").symlink_to("/etc/passwd")
    (work / "x.big").write_text("pointer\n")
    git(work, "add", "-A")
    (work / ".gitattributes").write_text(
        "[attr]hidden export-ignore\nsecret.txt hidden\nrun.sh export-ignore\n"
        "version.txt export-subst ident\nlf.txt text eol=crlf\ncrlf.txt text\n"
        "utf16.txt working-tree-encoding=UTF-16\n*.big filter=lfs diff=lfs\n"
    )
    sub = git(work, "hash-object", "-w", "--stdin", stdin="x")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{sub},vendored")
    git(work, "update-index", "--add", ".gitattributes")
    git(work, "commit", "-q", "-m", "first")
    return work


@pytest.fixture
def remote(origin: Path, tmp_path: Path) -> Path:
    """The same as a bare repository that can be pushed to."""
    bare = tmp_path / "remote.git"
    git(tmp_path, "clone", "-q", "--bare", str(origin), str(bare))
    return bare


@pytest.fixture
def mirror(remote: Path, tmp_path: Path) -> Mirror:
    made = Mirror(tmp_path / "mirrors" / "m.git", str(remote))
    made.fetch()
    return made


def commit(mirror: Mirror, patch: str = PATCH, branch: str = "patchwright/x") -> str:
    return mirror.commit_patch(
        mirror.base_commit("main"), patch, message="Fix it", author=BOT, branch=branch, when=WHEN
    )


def test_the_tree_goes_out_as_git_keeps_it(mirror: Mirror, remote: Path, tmp_path: Path) -> None:
    out = tmp_path / "tree.tar"
    mirror.tree_tar(mirror.base_commit("main"), out)
    expected = {}
    for line in git(remote, "ls-tree", "-r", "-z", "main").split("\0")[:-1]:
        head, _, path = line.partition("\t")
        mode, _, sha = head.split(" ")
        expected[path] = (mode, sha)
    found = {}
    with tarfile.open(out) as tar:
        for member in tar.getmembers():
            if member.isfile():
                file = tar.extractfile(member)
                assert file is not None
                mode = "100755" if member.mode & 0o111 else "100644"
                found[member.name] = (mode, _blob(file.read()))
            elif member.issym():
                found[member.name] = ("120000", _blob(member.linkname.encode()))
            elif member.name == "vendored":
                found[member.name] = ("160000", expected["vendored"][1])
    assert found == expected
    assert {"secret.txt", "run.sh", "link", "out", "vendored", "naïve name.txt"} <= set(found)


def _blob(data: bytes) -> str:
    done = subprocess.run(
        ["git", "hash-object", "--stdin"], input=data, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def test_fetch_follows_the_remote_and_drops_what_is_gone(
    mirror: Mirror, origin: Path, remote: Path
) -> None:
    first = mirror.base_commit("main")
    git(remote, "update-ref", "refs/heads/old", "main")
    mirror.fetch()
    assert mirror.base_commit("old") == first
    git(origin, "commit", "-q", "--allow-empty", "-m", "second")
    git(origin, "push", "-q", str(remote), "main", ":old")
    mirror.fetch()
    assert mirror.base_commit("main") == git(origin, "rev-parse", "main") != first
    with pytest.raises(GitMissing, match="There is no branch old"):
        mirror.base_commit("old")


def test_fetch_keeps_commits_that_are_not_pushed_yet(mirror: Mirror, remote: Path) -> None:
    made = commit(mirror)
    mirror.fetch()
    git(mirror.git_dir, "gc", "-q", "--prune=now")
    mirror.push("patchwright/x", made)
    assert git(remote, "rev-parse", "patchwright/x") == made


def test_an_incomplete_mirror_is_recreated(remote: Path, tmp_path: Path) -> None:
    half = tmp_path / "mirrors" / "m.git"
    (half / "objects").mkdir(parents=True)
    mirror = Mirror(half, str(remote))
    mirror.fetch()
    assert mirror.base_commit("main") == git(remote, "rev-parse", "main")


def test_fetches_at_once_wait_for_one_another(remote: Path, tmp_path: Path) -> None:
    mirrors = [Mirror(tmp_path / "mirrors" / "m.git", str(remote)) for _ in range(6)]
    failed: list[BaseException] = []

    def work(one: Mirror) -> None:
        try:
            one.fetch()
        except GitError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(m,)) for m in mirrors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert mirrors[0].base_commit("main")
    assert [p.name for p in (tmp_path / "mirrors").iterdir() if p.name.startswith(".new")] == []


def test_the_same_patch_is_the_same_commit_anywhere(
    mirror: Mirror, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit(mirror)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other-index"))
    other = Mirror(tmp_path / "elsewhere" / "m.git", str(remote))
    other.fetch()
    assert commit(mirror) == commit(other) == first
    shown = git(mirror.git_dir, "log", "-1", "--format=%an <%ae> %cn %at %B", first)
    assert shown == (
        "patchwright[bot] <patchwright[bot]@users.example> patchwright[bot] 1767323045 Fix it"
    )
    changed = git(mirror.git_dir, "diff", "--stat", f"{first}^", first)
    assert "shop/cart.py" in changed
    assert "1 file changed" in changed


NEW_LINK = (
    "diff --git a/evil b/evil\nnew file mode 120000\nindex 0000000..3594e94\n"
    "--- /dev/null\n+++ b/evil\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n"
)
HOOK = (
    "diff --git a/.git/hooks/pre-push b/.git/hooks/pre-push\nnew file mode 100755\n"
    "--- /dev/null\n+++ b/.git/hooks/pre-push\n@@ -0,0 +1 @@\n+#!/bin/sh\n"
)


@pytest.mark.parametrize(
    "patch",
    [
        "",
        "nonsense",
        NEW_LINK,
        HOOK,
        HOOK.replace(".git/hooks/pre-push", "../../outside"),
        HOOK.replace(".git/hooks/pre-push", ".github/workflows/x.yml"),
        PATCH.replace("shop/cart.py", "link"),
        PATCH.replace("shop/cart.py", "nowhere.py"),
        PATCH.replace("t = 1", "t = 7"),
        PATCH.replace("+    t = 0", "+    t = 1"),
    ],
)
def test_hostile_and_broken_patches_make_no_commit(mirror: Mirror, patch: str) -> None:
    with pytest.raises(PatchUnusable):
        commit(mirror, patch)
    with pytest.raises(GitMissing):
        mirror.tree_tar("refs/patchwright/patchwright/x", Path("/dev/null"))


def test_push_creates_then_forwards_and_is_content_when_done(mirror: Mirror, remote: Path) -> None:
    one = commit(mirror)
    for _ in range(2):
        mirror.push("patchwright/x", one)
    two = mirror.commit_patch(
        one,
        PATCH.replace("t = 0", "t = 3").replace("t = 1", "t = 0"),
        message="More",
        author=BOT,
        branch="b",
        when=WHEN,
    )
    mirror.push("patchwright/x", two)
    assert git(remote, "rev-parse", "patchwright/x") == two


def test_push_never_overwrites(mirror: Mirror, origin: Path, remote: Path) -> None:
    git(origin, "commit", "-q", "--allow-empty", "-m", "theirs")
    git(origin, "push", "-q", str(remote), "HEAD:refs/heads/patchwright/x")
    theirs = git(remote, "rev-parse", "patchwright/x")
    with pytest.raises(BranchTaken, match="patchwright/x"):
        mirror.push("patchwright/x", commit(mirror))
    mirror.fetch()
    with pytest.raises(BranchTaken):
        mirror.push("patchwright/x", commit(mirror))
    assert git(remote, "rev-parse", "patchwright/x") == theirs


def test_a_branch_is_only_pushed_after_the_commit_that_is_named(
    mirror: Mirror, remote: Path
) -> None:
    one = commit(mirror)
    mirror.push("patchwright/x", one)
    two = mirror.commit_patch(
        one,
        PATCH.replace("t = 0", "t = 3").replace("t = 1", "t = 0"),
        message="More",
        author=BOT,
        branch="b",
        when=WHEN,
    )
    for _ in range(2):  # again after a crash
        mirror.push("patchwright/x", two, after=one)
    assert git(remote, "rev-parse", "patchwright/x") == two
    git(remote, "update-ref", "-d", "refs/heads/patchwright/x")
    with pytest.raises(BranchTaken):
        mirror.push("patchwright/x", two, after=one)
    assert git(remote, "branch", "--list", "patchwright/x") == "", "it was deleted"


def test_of_two_pushes_at_once_one_wins(mirror: Mirror, remote: Path) -> None:
    shas = [
        commit(mirror, PATCH.replace("t = 0", f"t = {n}"), f"patchwright/{n}") for n in range(2, 8)
    ]
    won: list[str] = []
    lost: list[str] = []
    barrier = threading.Barrier(len(shas))

    def work(sha: str) -> None:
        barrier.wait()
        try:
            mirror.push("patchwright/race", sha)
            won.append(sha)
        except BranchTaken:
            lost.append(sha)

    threads = [threading.Thread(target=work, args=(sha,)) for sha in shas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == len(shas) - 1
    assert git(remote, "rev-parse", "patchwright/race") == won[0]


def test_no_hook_of_a_mirror_is_run(mirror: Mirror, tmp_path: Path) -> None:
    hooks = mirror.git_dir / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "pre-push", "post-commit", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    mirror.push("patchwright/x", commit(mirror))
    mirror.fetch()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c id",
        "file:///etc",
        "/etc",
        "ssh://git@example.com/a/b",
        "git://example.com/a/b",
        "--upload-pack=id",
        "https://user:pw@example.com/a/b",
        "",
    ],
)
def test_only_plain_http_addresses_are_mirrored(tmp_path: Path, url: str) -> None:
    with pytest.raises(GitError):
        Mirror.of_remote(tmp_path, url)


def test_other_transports_are_off_even_below(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "m.git", f"ext::touch {tmp_path}/ran")
    with pytest.raises(GitError):
        mirror.fetch()
    assert not (tmp_path / "ran").exists()


def test_a_repository_with_a_hidden_git_folder_is_not_taken_in(
    remote: Path, tmp_path: Path
) -> None:
    blob = git(remote, "hash-object", "-w", "--stdin", stdin="#!/bin/sh\n")
    hooks = git(remote, "mktree", stdin=f"100755 blob {blob}\tpost-checkout\n")
    tree = git(remote, "mktree", stdin=f"040000 tree {hooks}\t.git\n")
    evil = git(remote, "commit-tree", tree, "-m", "evil")
    git(remote, "update-ref", "refs/heads/evil", evil)
    mirror = Mirror(tmp_path / "m.git", str(remote))
    with pytest.raises(GitError, match="refuses the repository's history: hasDotgit"):
        mirror.fetch()
    with pytest.raises(GitError):
        mirror.tree_tar(evil, tmp_path / "tree.tar")


def raw_object(bare: Path, kind: str, content: bytes) -> str:
    """An object that git itself would not write."""
    command = ["git", "hash-object", "-t", kind, "--literally", "-w", "--stdin"]
    return (
        subprocess.run(command, cwd=bare, input=content, capture_output=True, check=True)
        .stdout.decode()
        .strip()
    )


ODD_TREES = {
    "twice": (b"a", b"a"),
    "unsorted": (b"b", b"a"),
    "zero-padded": (b"0a",),
}


@pytest.mark.parametrize("fault", list(ODD_TREES))
def test_old_faults_of_a_history_are_let_through_and_not_worked_on(
    remote: Path, tmp_path: Path, fault: str
) -> None:
    blob = git(remote, "hash-object", "-w", "--stdin", stdin="x")
    entries = [
        (b"0100644 " if fault == "zero-padded" else b"100644 ") + name + b"\0" + bytes.fromhex(blob)
        for name in ODD_TREES[fault]
    ]
    tree = raw_object(remote, "tree", b"".join(entries))
    who = "A<a@b> 1700000000 +051800"  # an address without a space, and a time zone of its own
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nold\n"
    old = raw_object(remote, "commit", text.encode())
    new = git(remote, "commit-tree", "main^{tree}", "-p", old, "-m", "new")
    git(remote, "update-ref", "refs/heads/main", new)
    mirror = Mirror(tmp_path / "m.git", str(remote))
    mirror.fetch()
    assert mirror.base_commit("main") == new
    mirror.tree_tar(new, tmp_path / "tree.tar")
    if fault == "zero-padded":
        mirror.tree_tar(old, tmp_path / "old.tar")
        return
    with pytest.raises(GitError, match="twice or out of order"):
        mirror.tree_tar(old, tmp_path / "old.tar")


def test_a_redirect_does_not_carry_the_token_away(tmp_path: Path) -> None:
    asked: list[str] = []
    authorised: list[str | None] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            authorised.append(self.headers["Authorization"])
            self.send_response(302 if self.path.startswith("/a/") else 404)
            self.send_header("Location", f"http://127.0.0.1:{port}/stolen")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = Mirror.of_remote(tmp_path, f"http://127.0.0.1:{port}/a/b.git")
        with pytest.raises(GitError):
            mirror.fetch("ghs_token")
        server.shutdown()
    assert asked == ["/a/b.git/info/refs?service=git-upload-pack"]
    assert authorised[0] is not None


def test_a_server_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(GitAway):
        Mirror.of_remote(tmp_path, "http://127.0.0.1:1/a/b.git").fetch("ghs_token")


def test_addresses_do_not_share_a_folder(tmp_path: Path) -> None:
    urls = ["https://h/a/b.git", "https://h/a-b.git", "https://h/A/b.git", "https://i/a/b.git"]
    assert len({Mirror.of_remote(tmp_path, u).git_dir for u in urls}) == len(urls)
    assert all(Mirror.of_remote(tmp_path, u).git_dir.parent == tmp_path for u in urls)
    # With GitHub's id the name is nothing: another id another mirror, another name the same one.
    of_ids = [
        Mirror.of_remote(tmp_path, u, repository_id=n).git_dir for u in urls[:2] for n in (5, 6)
    ]
    assert of_ids[0] == of_ids[2] != of_ids[1]
    assert all(path.parent == tmp_path for path in of_ids)


@pytest.mark.parametrize("to_file", [False, True])
def test_git_starts_outside_of_the_callers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to_file: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    bare = Path("bare.git")  # as a state folder may be named
    run_git(bare, "init", "--quiet", "--bare", "--template=")
    out = tmp_path / "out" if to_file else None
    said = run_git(bare, "where", settings={"alias.where": "!pwd"}, stdout_to=out)
    assert (out.read_bytes() if out else said) == b"/\n"


@pytest.mark.parametrize("name", [".g\u200cit/config", "git~1/config", ".git./config"])
def test_git_takes_no_name_that_another_file_system_reads_as_its_own(
    mirror: Mirror, name: str
) -> None:
    blob = run_git(mirror.git_dir, "hash-object", "-w", "--stdin", stdin=b"x").decode().strip()
    index = {"GIT_INDEX_FILE": str(mirror.git_dir / "tried")}
    add = ("update-index", "--add", "--cacheinfo")
    run_git(mirror.git_dir, *add, f"100644,{blob},fine", environment=index)
    with pytest.raises(GitError, match="cannot add"):
        run_git(mirror.git_dir, *add, f"100644,{blob},{name}", environment=index)


def test_mirrors_that_nobody_uses_go_and_those_at_work_stay(remote: Path, tmp_path: Path) -> None:
    root = tmp_path / "mirrors"
    for name in ("host-1", "host-2", "host-3", "by-address"):
        Mirror(root / f"{name}.git", str(remote)).fetch()
    month = 10.0
    for name in ("host-1", "host-2", "by-address"):
        os.utime(root / f"{name}.lock", (month, month))
    held = Mirror(root / "by-address.git", str(remote))
    with held._locked():
        os.utime(root / "by-address.lock", (month, month))
        assert forget_unused(root, month + 1, {2}) == 1
    assert sorted(path.name for path in root.glob("*.git")) == [
        "by-address.git",
        "host-2.git",
        "host-3.git",
    ]
    again = Mirror(root / "host-1.git", str(remote))
    again.fetch()
    assert again.base_commit("main")
    assert forget_unused(tmp_path / "none", month, ()) == 0
