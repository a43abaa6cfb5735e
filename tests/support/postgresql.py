"""A PostgreSQL server for tests, from the programs that the machine has."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


def programs() -> Path | None:
    """The folder with `initdb`, or None when PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """A server on a socket of its own; gives the URL of its first database.

    PostgreSQL refuses to run as root; then it runs as the user `postgres`.
    """
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="patchwright-pg-"))
    if user:
        shutil.chown(folder, user, user)

    def run(*words: str) -> None:
        done = subprocess.run(
            words, user=user, capture_output=True, text=True, cwd=folder, env={"PATH": os.defpath}
        )
        assert done.returncode == 0, done.stderr

    data = str(folder / "data")
    try:
        run(str(programs / "initdb"), "-D", data, "-U", "patchwright", "-A", "trust", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=60"
        log = str(folder / "log")
        run(str(programs / "pg_ctl"), "-D", data, "-o", options, "-l", log, "-w", "start")
        try:
            yield f"postgresql+psycopg://patchwright@/postgres?host={folder}"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_numbers = itertools.count()


def fresh_database(server_url: str) -> str:
    """The URL of a new, empty database on this server."""
    name = f"fresh_{os.getpid()}_{next(_numbers)}"
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server for all tests of this process; see `fresh_database`."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    with server(found) as url:
        yield url


@pytest.fixture
def postgresql_database(postgresql: str) -> str:
    """The URL of a fresh database."""
    return fresh_database(postgresql)
