"""The processes that Patchwright consists of, under a supervisor that starts what has died."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Part:
    """A process group of its own."""

    name: str
    words: tuple[str, ...]
    """After `patchwright`."""
    environment: dict[str, str]
    log: Path
    back_at: float = 0.0
    """When it is started again, as `time.monotonic` has it."""
    gave_up: int = 0
    """How often it ended by itself, for example because the database was away at its start."""
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def tend(self) -> None:
        """Start it when it is not up and its time has come."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self.gave_up += 1
            self.back_at = time.monotonic() + 1.0
        if self._process is None and time.monotonic() >= self.back_at:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "app", *self.words],
                    cwd=ROOT,
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    @property
    def up(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def used(self) -> tuple[float, float]:
        """Processor seconds so far, its ended children's too, and its most memory in MiB."""
        assert self._process is not None
        proc = Path("/proc") / str(self._process.pid)
        ticks = map(int, (proc / "stat").read_text().rpartition(") ")[2].split()[11:15])
        most = re.search(r"VmHWM:\s+(\d+) kB", (proc / "status").read_text())
        assert most is not None
        return sum(ticks) / os.sysconf("SC_CLK_TCK"), int(most[1]) / 1024

    def kill(self, away_s: float) -> None:
        """`kill -9` of all its processes; it stays away for so long."""
        process, self._process = self._process, None
        self.back_at = time.monotonic() + away_s
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; gives the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()
