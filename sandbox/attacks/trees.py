"""Attacks by what a tree holds: links, devices and names, in the tar or made by commands."""

from __future__ import annotations

import tarfile

from sandbox.attacks.target import (
    Attack,
    Escaped,
    Target,
    member,
    must_answer,
    must_not_escape,
    special,
)
from sandbox.errors import FileMissing, FileRefused, PatchRefused, SandboxError
from sandbox.protocol import Sandbox

_PROGRAM = "/tmp/dig.py"  # noqa: S108 - in the sandbox


async def links_then_files(target: Target) -> None:
    """Links to a file and a folder of the host, then reading, writing and diffing through them."""
    box = await target.open()
    await box.run(
        f"ln -s {target.host_file} file; ln -s {target.host} folder; ln -s / root; "
        f"ln -s /proc/1/root up; ln -s ../../../../../../../..{target.host} climbing",
    )
    for path in ("file", "folder/secret.txt", "climbing/secret.txt", f"up{target.host_file}"):
        try:
            data = await box.read(path)
        except (FileMissing, FileRefused):
            continue
        raise Escaped(f"{path} gave {data[:80]!r}")
    for path in ("file", "folder/new", "climbing/new", "../../../../../../tmp/x", "root/new"):
        try:
            await box.write(path, b"written by a sandbox")
        except FileRefused:
            continue
    target.check_host()
    _no_secret(target, await box.diff(binary=True))
    await must_answer(box)


async def links_then_tar(target: Target) -> None:
    """A tar whose link leads out and whose next member goes through it."""
    for link in (str(target.host), "../../../../.." + str(target.host), "/home", "/etc"):
        members = [special("out", tarfile.SYMTYPE, link), member("out/passwd", b"owned")]
        box = await _open_unless_refused(target, members)
        if box is not None:
            await must_answer(box)
            if "owned" in (await box.run("cat /home/passwd /etc/passwd")).text:
                raise Escaped(f"a member was written through a link to {link}")
        target.check_host()


async def links_then_patch(target: Target) -> None:
    """A patch that makes a link and then writes through it, or follows one that is there."""
    box = await target.open()
    await box.run(f"ln -s /tmp there; ln -s {target.host} host; mkdir /tmp/inner")
    through = (
        "diff --git a/door b/door\nnew file mode 120000\n--- /dev/null\n+++ b/door\n"
        "@@ -0,0 +1 @@\n+/tmp\n\\ No newline at end of file\n" + _new_file("door/owned")
    )
    for patch in (through, _new_file("there/owned"), _new_file("host/owned")):
        await _must_refuse(box, patch)
    target.check_host()
    if (await box.run("ls /tmp/owned")).ok:
        raise Escaped("a patch wrote through a link")


async def hard_links(target: Target) -> None:
    """Hard links to files outside of the tree, in the tar and by commands."""
    for name in ("/etc/shadow", "../etc/shadow", str(target.host_file), "/proc/1/environ"):
        box = await _open_unless_refused(target, [special("hard", tarfile.LNKTYPE, name)])
        if box is not None:
            _no_secret(target, await box.diff(binary=True))
            await must_answer(box)
    box = await target.open()
    made = await box.run("for f in /etc/shadow /etc/passwd /bin/su; do ln $f here; done")
    if made.ok or (await box.run("ls here")).ok:
        raise Escaped("a hard link to a file of the image was made")


async def devices_in_the_tar(target: Target) -> None:
    """Device files, pipes and set-user-id programs in the tar."""
    disk, _ = special("disk", tarfile.BLKTYPE)
    disk.devmajor, disk.devminor = 254, 0
    memory, _ = special("memory", tarfile.CHRTYPE)
    memory.devmajor, memory.devminor = 1, 1
    for info in (disk, memory):
        box = await _open_unless_refused(target, [(info, b"")])
        if box is not None and (await box.run("test -b disk -o -c memory")).ok:
            raise Escaped(f"the device {info.name} was unpacked")
    rooted, data = member("rooted", b"#!/bin/sh\nid -u\n", 0o6755)
    rooted.uid = rooted.gid = 0
    rooted.uname = rooted.gname = "root"
    box = await _open_unless_refused(target, [(rooted, data), special("pipe", tarfile.FIFOTYPE)])
    if box is None:
        return
    if (await box.run("stat -c %u rooted")).text.strip() == "0":
        raise Escaped("a file of root was unpacked")
    await must_not_escape(
        box,
        "line = next(l for l in open('/proc/mounts') if l.split()[1] == '/workspace')\n"
        "for word in ('nosuid', 'nodev'):\n"
        "    if word not in line: print('ESCAPED /workspace is not', word)",
    )
    await must_answer(box)


async def odd_names(target: Target) -> None:
    """File names with newlines, `..`, four kilobytes, invalid UTF-8, and options."""
    up = [member(f"{'../' * 8}{target.host}/owned", b"x"), member(f"{target.host}/owned", b"x")]
    for one in up:
        await _open_unless_refused(target, [one])
    target.check_host()
    names = [
        b"new\nline", b"\xff\xfe", b"-rf", b"--help", b"a" * 255, b"$(touch owned)", b"`id`",
        b"\x1b[2J", b" ", b"...", b"\\", b'"', b"diff --git a x", b"a\tb", "ü".encode() * 100,
    ]  # fmt: skip
    text = [name.decode("utf-8", "surrogateescape") for name in names]
    box = await target.open(members=[member(name, b"in the base\n") for name in text])
    kept = await box.snapshot()
    for name in text:
        await box.write(name, b"changed\n")
        if await box.read(name) != b"changed\n":
            raise Escaped(f"{name!r} was not read as it was written")
    patch = await box.diff(kept)
    if patch.count("\ndiff --git ") + 1 != len(names):
        raise Escaped(f"{patch.count('diff --git ')} files in the patch instead of {len(names)}")
    await box.restore(kept)
    for name in text:
        if await box.read(name) != b"in the base\n":
            raise Escaped(f"{name!r} was not restored")
    for path in ("a/" * 2100 + "x", "../" * 1500 + "etc/passwd", "x" * 5000):
        try:
            await box.write(path, b"x")
        except FileRefused:
            continue
        raise Escaped("a path of four kilobytes was written")
    await must_answer(box)


async def bottomless_folders(target: Target) -> None:
    """Folders so deep that no path reaches their end."""
    box = await target.open()
    dig = (
        "import os\nfor _ in range(3000): os.mkdir('d' * 200); os.chdir('d' * 200)\nopen('x', 'w')"
    )
    await box.write(_PROGRAM, dig.encode())
    await box.run(f"python3 {_PROGRAM}", timeout_s=20)
    try:
        await box.diff(binary=True)
        await box.restore(None)
    except SandboxError:
        # Git cannot follow; that this is said is right.
        pass
    await must_answer(box)


async def _open_unless_refused(
    target: Target, members: list[tuple[tarfile.TarInfo, bytes]]
) -> Sandbox | None:
    """The sandbox, or None when the tar was refused."""
    try:
        return await target.open(members=members)
    except SandboxError:
        return None


async def _must_refuse(box: Sandbox, patch: str) -> None:
    try:
        await box.apply(patch)
    except PatchRefused:
        return
    raise Escaped(f"this patch was applied: {patch[:80]!r}")


def _no_secret(target: Target, patch: str) -> None:
    if target.secret in patch or "root:" in patch:
        raise Escaped("the content of a file outside came out")


def _new_file(path: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        "@@ -0,0 +1 @@\n+owned\n"
    )


ATTACKS = (
    Attack("symlink out of the tree, then files through it", links_then_files),
    Attack("symlink out of the tree, then a tar through it", links_then_tar),
    Attack("symlink out of the tree, then a patch through it", links_then_patch),
    Attack("hard links", hard_links),
    Attack("device files and setuid in the tar", devices_in_the_tar),
    Attack("file names with newlines, .., 4 KB, invalid UTF-8", odd_names),
    Attack("folders too deep for a path", bottomless_folders),
)
