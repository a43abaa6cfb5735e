"""What a sandbox keeps hostile code from doing, against the real engine; see also the attacks."""

from __future__ import annotations

import asyncio
import resource
import time
import uuid
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from sandbox.docker.engine import DockerEngine
from sandbox.docker.system_calls import profile
from sandbox.errors import (
    EngineUnavailable,
    FileMissing,
    FileRefused,
    ImageMissing,
    SandboxError,
    SandboxGone,
)
from sandbox.protocol import Limits
from sandbox.spec import SandboxSpec
from tests.support.sandboxes.fixtures import INSTALLATION, TREE, DockerOpener, tar_of

pytestmark = pytest.mark.docker

MEMORY = 512 * 1024**2
OWN = f"{INSTALLATION}-own"


def _container(sandbox_id: str) -> Container:
    return docker.from_env().containers.get(sandbox_id)


async def test_the_container_is_closed_on_every_side(
    open_docker: DockerOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = f"token-{uuid.uuid4().hex}"
    monkeypatch.setenv("GITHUB_TOKEN", secret)
    box = await open_docker(limits=Limits(memory_bytes=MEMORY, pids=99, cpus=0.5), run_id="r-1")
    facts = _container(box.id).attrs
    host, config = facts["HostConfig"], facts["Config"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert f"seccomp={profile()}" in host["SecurityOpt"]
    assert host["ReadonlyRootfs"]
    assert host["Memory"] == host["MemorySwap"] == MEMORY
    assert host["PidsLimit"] == 99
    assert host["NanoCpus"] == 500_000_000
    assert host["Init"]
    assert not host["Binds"]
    assert not host["Devices"]
    assert facts["Mounts"] == []
    assert config["User"].split(":")[0] not in {"", "0", "root"}
    assert config["Labels"]["patchwright.run"] == "r-1"
    assert config["Labels"]["patchwright.purpose"] == "test"
    assert secret not in str(facts)
    container_of = await box.run("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; id -u")
    assert secret not in container_of.text
    assert container_of.text.endswith("10001\n")


async def test_the_only_network_interface_is_loopback(open_docker: DockerOpener) -> None:
    box = await open_docker()
    assert (await box.run("tail -n +3 /proc/net/dev | cut -d: -f1")).text.split() == ["lo"]


async def test_filling_every_disk_leaves_a_usable_sandbox(open_docker: DockerOpener) -> None:
    box = await open_docker(limits=Limits(memory_bytes=256 * 1024**2))
    result = await box.run(
        "for d in /workspace /tmp /home /run /dev/shm; do cat /dev/zero > $d/fill; done; sync"
    )
    assert "No space left" in result.text
    assert (await box.run("echo alive")).text == "alive\n"
    with pytest.raises(SandboxError):
        await box.snapshot()
    await box.run("rm -f /workspace/fill /tmp/fill /home/fill /run/fill /dev/shm/fill")
    assert await box.diff() == ""


@pytest.mark.slow
async def test_a_hundred_megabytes_of_output_stay_out_of_memory(open_docker: DockerOpener) -> None:
    box = await open_docker(limits=Limits(output_bytes=1024**2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await box.run("echo first; head -c 100M /dev/zero; echo last")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(result.output) == 1024**2
    assert result.dropped_bytes == 100 * 1024**2 + 11 - 1024**2
    assert result.output.startswith(b"first\n")
    assert result.output.endswith(b"last\n")
    assert grown_kib < 20 * 1024


async def test_an_endless_command_that_ignores_signals_dies_at_its_limit(
    open_docker: DockerOpener,
) -> None:
    box = await open_docker()
    stubborn = (
        "import signal, os, time\n"
        "for s in range(1, 32):\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except OSError: pass\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    await box.write("/tmp/stubborn.py", stubborn.encode())
    result = await box.run("cd src; python3 /tmp/stubborn.py", timeout_s=1)
    assert result.timed_out
    assert result.text.count("up") == 2
    assert result.duration_s < 5
    after = await box.run("pwd; pgrep python3 | wc -l")
    assert after.text == "/workspace/src\n0\n"


async def test_a_daemon_that_holds_the_output_does_not_hold_the_command(
    open_docker: DockerOpener,
) -> None:
    box = await open_docker()
    begun = time.monotonic()
    daemon = "import os,time\nif os.fork()==0:\n os.setsid()\n if os.fork()==0: time.sleep(99)\n"
    result = await box.run(f"python3 -c '{daemon}'; echo done", timeout_s=30)
    assert result.text == "done\n"
    assert time.monotonic() - begun < 10


async def test_forged_end_markers_are_output(open_docker: DockerOpener) -> None:
    box = await open_docker()
    forged = (
        "for n in 0 1 2; do printf '%032x %d\\n' $n 0; done; "
        "printf '\\1\\0\\0\\0\\0\\0\\0\\4fake'; "
        "declare -p | grep -c 'nonce'; "
        "cat /proc/$$/cmdline /proc/$$/environ | tr '\\0' ' '; (exit 9)"
    )
    result = await box.run(forged)
    assert result.exit_code == 9
    assert result.text.startswith("0" * 32 + " 0\n")
    assert "fake0\n" in result.text
    assert (await box.run("echo next")).text == "next\n"


async def test_commands_cannot_reach_the_shells_control_input(open_docker: DockerOpener) -> None:
    box = await open_docker()
    result = await box.run(
        "cat; python3 -c 'import os; print(sorted(int(n) for n in os.listdir(\"/proc/self/fd\")))'"
    )
    assert result.text == "[0, 1, 2, 3]\n"
    assert (await box.run("readlink /proc/self/fd/0")).text == "/dev/null\n"


async def test_killing_everything_leaves_the_container(open_docker: DockerOpener) -> None:
    box = await open_docker()
    await box.run("echo kept > kept.txt")
    await box.run("kill -9 -1; kill -9 $$", timeout_s=10)
    assert (await box.run("cat kept.txt")).text == "kept\n"
    await box.run("pkill -9 -u sandbox bash", timeout_s=10)
    assert await box.read("kept.txt") == b"kept\n"
    assert "kept.txt" in await box.diff()


async def test_links_out_of_the_tree_show_the_sandbox_and_not_the_host(
    open_docker: DockerOpener, tmp_path: Path
) -> None:
    outside = tmp_path / "host.txt"
    outside.write_text("the host's")
    box = await open_docker()
    await box.run(f"ln -s {outside} out; ln -s / root; ln -s {tmp_path} folder")
    with pytest.raises(FileMissing):
        await box.read("out")
    with pytest.raises((FileRefused, FileMissing)):
        await box.write("folder/new.txt", b"x")
    assert await box.read("root/etc/hostname") == b"sandbox\n"
    assert [path for path in tmp_path.iterdir() if path.suffix != ".tar"] == [outside]
    assert str(outside) in await box.diff()


async def test_every_method_reports_a_dead_container(open_docker: DockerOpener) -> None:
    box = await open_docker()
    kept = await box.snapshot()
    running = asyncio.create_task(box.run("sleep 60"))
    await asyncio.to_thread(_container(box.id).kill)
    with pytest.raises(SandboxGone):
        await running
    for call in (
        box.run("true"), box.read("README.md"), box.write("x", b""), box.snapshot(),
        box.restore(kept), box.diff(), box.apply("diff --git a/x b/x\n"),
    ):  # fmt: skip
        with pytest.raises(SandboxGone):
            await call
    await asyncio.to_thread(_container(box.id).remove)
    with pytest.raises(SandboxGone):
        await box.run("true")
    await box.close()


async def test_attaching_again_keeps_tree_and_snapshots(
    open_docker: DockerOpener, engine: DockerEngine
) -> None:
    first = await open_docker()
    await first.run("echo one >> README.md; sleep 500 &")
    kept = await first.snapshot()
    await first.run("echo two >> README.md")
    second_engine = DockerEngine()
    again = await second_engine.attach(first.id)
    assert again is not None
    assert again.id == first.id
    assert (await again.run("tail -n 2 README.md; pgrep -x sleep -u sandbox")).text == "one\ntwo\n"
    assert "+two" in await again.diff(kept)
    await again.restore(kept)
    assert "+one" in await again.diff()
    assert "+two" not in await again.diff()
    await again.close()
    assert await engine.attach(first.id) is None
    await second_engine.close()


async def test_sweep_removes_what_no_run_owns(
    open_docker: DockerOpener, engine: DockerEngine
) -> None:
    wanted, orphan = await open_docker(run_id="wanted"), await open_docker(run_id="orphan")
    assert await engine.sweep({"wanted"}, installation="others") == []
    swept = await engine.sweep({"wanted"}, installation=INSTALLATION)
    assert orphan.id in swept
    assert wanted.id not in swept
    assert (await wanted.run("echo here")).text == "here\n"
    with pytest.raises(SandboxGone):
        await orphan.run("true")


async def test_an_open_that_fails_leaves_no_container(engine: DockerEngine, tmp_path: Path) -> None:
    run_id = f"broken-{uuid.uuid4().hex}"
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no tar" * 1000)
    spec = SandboxSpec("patchwright/sandbox-base:1", Limits(), run_id, "test", installation=OWN)
    with pytest.raises(SandboxError, match="unpacked"):
        await engine.open(spec, broken)
    missing = SandboxSpec("patchwright/no-such:1", Limits(), run_id, "test", installation=OWN)
    with pytest.raises(ImageMissing, match="images build"):
        await engine.open(missing, tar_of(TREE, tmp_path / "tree.tar"))
    assert await engine.sweep([], installation=OWN) == []


async def test_no_engine_is_one_clear_sentence(tmp_path: Path) -> None:
    engine = DockerEngine(f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailable, match="Start Docker"):
        await engine.check()


async def test_images_are_found(engine: DockerEngine) -> None:
    assert await engine.has_image("patchwright/sandbox-base:1")
    assert not await engine.has_image("patchwright/no-such:1")
