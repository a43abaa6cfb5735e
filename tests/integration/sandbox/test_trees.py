"""What every `Sandbox` does with the tree: snapshot, restore, diff, apply."""

from __future__ import annotations

import pytest
from unidiff import PatchSet

from sandbox.errors import PatchRefused, SandboxError
from sandbox.protocol import Sandbox
from tests.support.sandboxes.fixtures import TREE, Opener

pytestmark = pytest.mark.docker

_LISTING = (
    "find . -mindepth 1 -not -path '*/.git/*' -not -name .git -printf '%P %y %m %l\\n' | sort; "
    "find . -type f -not -path '*/.git/*' -exec md5sum {} + | sort"
)

CHANGES = {
    "changed": "echo more >> README.md",
    "new": "mkdir -p new/deep; echo x > new/deep/file; echo y > 'with space'",
    "deleted": "rm src/calc.py LICENSE",
    "renamed": "mv LICENSE COPYING",
    "mode": "chmod +x README.md; chmod -x run.sh",
    "binary": "head -c 5000 /dev/urandom > src/data.bin; head -c 99 /dev/urandom > new.bin",
    "emptied": ": > README.md; : > nothing",
    "no last newline": "printf 'no newline' > README.md",
    "crlf": "printf 'a\\r\\nb\\r\\n' > crlf.txt; sed -i 's/$/\\r/' src/calc.py",
    "latin-1": "printf 'caf\\351\\n' > latin.txt; echo u >> README.md; "
    "printf 'q\\351\\n' > 'x*\\\"[y]'",
    "file to folder": "rm LICENSE; mkdir LICENSE; echo in > LICENSE/in",
    "folder to file": "rm -r src; echo flat > src",
    "link": "ln -s README.md link; ln -sf /etc/passwd LICENSE; ln -s src dirlink",
    "folder to link": "mv src other; ln -s other src",
    "odd names": "echo 1 > $'new\\nline'; echo 2 > 'q\"uote'; echo 3 > 'back\\slash'; "
    "echo 4 > 'ünï'; echo 5 > '-dash'; echo 6 > $'bad\\xff'; echo 7 > ' lead'; echo 8 > 'trail '; "
    "echo 9 > ':(top)x'",
    "base file that is ignored": "echo changed > kept.log",
    "base file that is ignored, made anew": "rm kept.log; echo anew > kept.log",
    "nested repository": "git init -q sub; echo n > sub/n; cd sub; git add n; "
    "git -c user.name=a -c user.email=a@b commit -qm x; echo m > m; cd ..",
    "nested repository without a commit": "git init -q empty; echo n > empty/n",
    "own repository": "git init -q .; git add -A; "
    "git -c user.name=a -c user.email=a@b commit -qm x; "
    "echo more >> README.md",
    "rights taken away": "echo a > shut; chmod 0 shut; mkdir closed; "
    "echo b > closed/b; chmod 0 closed",
    "special files": "mkfifo pipe; python3 -c 'import socket; "
    's=socket.socket(socket.AF_UNIX); s.bind("sock")\'; echo ok > ok',
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_goes_out_as_a_patch_and_into_a_fresh_sandbox(
    open_sandbox: Opener, name: str
) -> None:
    box = await open_sandbox()
    made = await box.run(CHANGES[name])
    assert made.ok, made.text
    patch = await box.diff(binary=True)
    assert patch.startswith("diff --git ")
    patch.encode()
    assert "GIT binary patch" not in await box.diff()
    other = await open_sandbox()
    await other.apply(patch)
    assert await other.diff(binary=True) == patch


@pytest.mark.parametrize("name", CHANGES)
async def test_restore_takes_every_change_back(open_sandbox: Opener, name: str) -> None:
    box = await open_sandbox()
    await box.run("echo first >> README.md; echo own > own.txt")
    before = await _tree(box)
    kept = await box.snapshot()
    first = await box.diff()
    assert (await box.run(CHANGES[name])).ok
    changed = await box.snapshot()
    assert changed != kept
    await box.restore(kept)
    assert await box.diff(kept) == ""
    assert await box.diff() == first
    await box.run("rm -rf pipe sock .git; find . -type d -empty -delete")
    assert await _tree(box) == before
    await box.restore(changed)
    assert await box.snapshot() == changed


async def test_an_untouched_tree_has_no_diff_whatever_is_in_it(open_sandbox: Opener) -> None:
    box = await open_sandbox(
        {
            ".gitattributes": "*.txt text eol=crlf\n*.bin filter=evil\n* ident diff=evil\n"
            "*.u16 working-tree-encoding=UTF-16\n",
            "a.txt": "unix\n",
            "b.txt": "dos\r\n",
            "c.bin": b"\0\1",
            "id.c": "$Id$\n",
            "d.u16": "x".encode("utf-16"),
            ".gitignore": "*\n",
            "link": "-> nowhere",
            "folder/.gitignore": "*\n!.gitignore\n",
            "sub/.git": "gitdir: ../.git/modules/sub\n",
            "sub/file": "content of a submodule\n",
        }
    )
    assert await box.diff(binary=True) == ""
    assert (await box.run("cat a.txt b.txt id.c")).output == b"unix\ndos\r\n$Id$\n"
    await box.run("echo more >> sub/file; echo more >> folder/x; echo more >> c.bin")
    patch = await box.diff()
    assert "diff --git a/sub/file b/sub/file" in patch
    assert "folder/x" not in patch
    assert "Binary files a/c.bin and b/c.bin differ" in patch
    base = await box.snapshot()
    await box.restore(base)
    assert (await box.run("cat a.txt; cat folder/x")).output == b"unix\nmore\n"


async def test_ignored_files_are_neither_kept_nor_touched(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    kept = await box.snapshot()
    await box.run(
        "mkdir build; echo o > build/o; echo l > x.log; mkdir -p src/__pycache__; "
        "echo c > src/__pycache__/c.pyc; echo k > .coverage"
    )
    assert await box.diff() == ""
    assert await box.snapshot() == kept
    await box.restore(kept)
    left = await box.run("cat build/o x.log src/__pycache__/c.pyc .coverage")
    assert left.text == "o\nl\nc\nk\n"


async def test_a_diff_is_what_a_parser_of_git_diffs_expects(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    await box.run("mv LICENSE COPYING; sed -i s/-/+/ src/calc.py; echo n > n; echo >> src/data.bin")
    patch = await box.diff()
    files = {file.path: file for file in PatchSet(patch)}
    assert files["COPYING"].is_added_file
    assert files["LICENSE"].is_removed_file
    assert files["src/calc.py"].is_modified_file
    assert (files["src/calc.py"].added, files["src/calc.py"].removed) == (1, 1)
    assert "Binary files a/src/data.bin and b/src/data.bin differ" in patch
    assert "similarity" not in patch


async def test_a_diff_since_a_snapshot_leaves_out_what_was_before(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    await box.run("echo one > one")
    kept = await box.snapshot()
    await box.run("echo two > two")
    since = await box.diff(kept)
    assert "b/two" in since
    assert "b/one" not in since
    assert "b/one" in await box.diff()


@pytest.mark.parametrize(
    "patch",
    [
        "no patch at all\n",
        "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n"
        "@@ -1 +1 @@\n-something else\n+x\n",
        "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+n\n"
        "diff --git a/gone b/gone\n--- a/gone\n+++ b/gone\n@@ -1 +1 @@\n-x\n+y\n",
        "diff --git a/.git/hooks/x b/.git/hooks/x\nnew file mode 100755\n--- /dev/null\n"
        "+++ b/.git/hooks/x\n@@ -0,0 +1 @@\n+x\n",
        "--- a/../../tmp/x\n+++ b/../../tmp/x\n@@ -0,0 +1 @@\n+x\n",
        "--- /dev/null\n+++ /tmp/x\n@@ -0,0 +1 @@\n+x\n\n--- a/no\n+++ b/no\n@@ -1 +1 @@\n-a\n+b\n",
    ],
)
async def test_a_patch_that_does_not_apply_changes_nothing(
    open_sandbox: Opener, patch: str
) -> None:
    box = await open_sandbox()
    with pytest.raises(PatchRefused):
        await box.apply(patch)
    assert await box.diff() == ""
    assert not (await box.run("ls /tmp/x .git")).ok


async def test_an_empty_patch_changes_nothing(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    await box.apply("")
    assert await box.diff() == ""


async def test_an_edit_in_the_same_instant_and_size_is_seen(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    seen = set()
    for digit in "0123456789":
        await box.write("src/calc.py", f"x = {digit}\n".encode())
        seen.add(await box.snapshot())
    assert len(seen) == 10


@pytest.mark.parametrize("snapshot", ["", "HEAD", "--help", "0" * 39, "$(id)", "0" * 40])
async def test_what_is_no_snapshot_is_refused(open_sandbox: Opener, snapshot: str) -> None:
    box = await open_sandbox()
    with pytest.raises(SandboxError):
        await box.restore(snapshot)
    assert await _tree(box) == await _tree(await open_sandbox())


async def test_the_base_tree_arrives_whole(open_sandbox: Opener) -> None:
    box = await open_sandbox()
    for name, content in TREE.items():
        data = content.encode() if isinstance(content, str) else content
        assert await box.read(name) == data
    assert (await box.run("stat -c '%a %U' run.sh README.md")).text == "755 sandbox\n644 sandbox\n"


async def _tree(box: Sandbox) -> str:
    return (await box.run(f"cd /workspace; {_LISTING}")).text
