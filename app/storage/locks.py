"""Locks that allow one process for each state folder and each SQLite file.

Locks are the kernel's: it lets go of them when the process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sqlalchemy.engine import make_url

from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings


@contextmanager
def state_lock(state_dir: Path) -> Iterator[None]:
    """Hold the state folder.

    Raises `SettingsError` when another process holds it or it cannot be made.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (state_dir / "serve.lock").open("a+")
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}STATE_DIR: {state_dir} cannot be used ({error.strerror}). "
            "Name a folder that this user may write to."
        ) from None
    with _exclusive_lock(
        file,
        f"{PREFIX}STATE_DIR: another Patchwright (process {{holder}}) already uses {state_dir}. "
        f"Stop it, or choose a different folder for this one with {PREFIX}STATE_DIR.",
    ):
        yield


@contextmanager
def database_lock(settings: Settings) -> Iterator[None]:
    """Lock the SQLite file, which several state folders may name; no lock for PostgreSQL.

    Raises `SettingsError` when another process holds it.
    """
    url = make_url(settings.database)
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    file = Path(url.database).resolve()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = file.with_name(file.name + ".lock").open("a+")
    with _exclusive_lock(
        lock,
        f"{PREFIX}DATABASE_URL: another Patchwright (process {{holder}}) already uses {file}. Stop "
        "it, choose a different file for this one, or use PostgreSQL, which several can share.",
    ):
        yield


@contextmanager
def _exclusive_lock(file: TextIO, message: str) -> Iterator[None]:
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise SettingsError(message.format(holder=holder)) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
