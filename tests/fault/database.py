"""A PostgreSQL server that can be killed as a machine loses its power."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.support.sandboxes.second_engine import processes

_STARTS_S = 60.0


class Database:
    """`postgres` in a folder of its own, reached over a socket there."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs = programs
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://patchwright@/postgres?host={folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = self._launch()
        end = time.monotonic() + _STARTS_S
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        while True:
            with contextlib.suppress(sa.exc.OperationalError), engine.connect():
                return
            assert time.monotonic() < end, (self._folder / "log").read_text()[-2000:]
            if self._process.poll() is not None:  # what was killed still held its memory
                self._process = self._launch()
            time.sleep(0.1)

    def _launch(self) -> subprocess.Popen[bytes]:
        words = [str(self._programs / "postgres"), "-D", str(self._folder / "data")]
        words += ["-k", str(self._folder), "-c", "listen_addresses=", "-c", "max_connections=100"]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                words,
                user=self._user,
                cwd=self._folder,
                env={"PATH": os.defpath},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """`kill -9` of the server and of all its processes."""
        assert self._process is not None
        first = self._process.pid
        mine = {first} | {pid for pid, (parent, _) in processes().items() if parent == first}
        for pid in mine:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def database(programs: Path) -> Iterator[Database]:
    """A server, started."""
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="patchwright-pg-"))
    if user:
        shutil.chown(folder, user, user)
    words = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "patchwright"]
    made = Database(programs, folder, user)
    try:
        subprocess.run(
            [*words, "-A", "trust", "-E", "UTF8"],
            user=user,
            cwd=folder,
            env={"PATH": os.defpath},
            check=True,
            capture_output=True,
        )
        made.start()
        try:
            yield made
        finally:
            made.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
