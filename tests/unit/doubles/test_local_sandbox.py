from __future__ import annotations

import pytest

from sandbox.errors import FileMissing, PatchRefused
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox


async def test_the_double_keeps_the_contract_that_the_agent_leans_on() -> None:
    box: Sandbox = LocalSandbox({"a/x.txt": "one\n"})
    try:
        result = await box.run("cd a && export GREETING=hello && cat x.txt && exit 3")
        assert (result.exit_code, result.text) == (3, "one\n")
        again = await box.run("pwd; echo $GREETING; ls /workspace /tmp")
        assert again.text.splitlines()[:2] == ["/workspace/a", "hello"]
        before = await box.snapshot()
        await box.write("a/x.txt", b"two\n")
        await box.write("/tmp/outside.txt", b"no part of the tree\n")
        await box.write("new.txt", b"new\n")
        patch = await box.diff()
        assert "+two" in patch and "+new" in patch and "outside" not in patch
        await box.restore(before)
        assert await box.diff() == ""
        with pytest.raises(FileMissing):
            await box.read("new.txt")
        await box.apply(patch)
        assert await box.read("/workspace/a/x.txt") == b"two\n"
        with pytest.raises(PatchRefused):
            await box.apply(patch)
    finally:
        await box.close()


async def test_a_command_is_killed_with_its_children_at_its_time_limit() -> None:
    box = LocalSandbox({})
    try:
        result = await box.run("sleep 30 & sleep 30", timeout_s=0.3)
        assert result.timed_out and result.exit_code is None and result.duration_s < 5
        assert (await box.run("echo alive")).text == "alive\n"
    finally:
        await box.close()
