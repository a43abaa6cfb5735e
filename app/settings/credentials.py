"""The App's identity as set-up leaves it: a small file, and its secrets with mode 0600.

The secrets go where the settings name a file for them, else beside the identity in the state
folder. Each file is written whole or not at all: under another name first, then renamed.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Protocol

from pydantic import Field, ValidationError

from agent.model import Record

IDENTITY = "github-app.json"
PRIVATE_KEY = "github-app.pem"
WEBHOOK_SECRET = "github-webhook-secret"  # noqa: S105  a file's name
CLIENT_SECRET = "github-client-secret"  # noqa: S105  a file's name
OPERATOR_TOKEN = "operator-token"  # noqa: S105  a file's name


class CredentialsError(Exception):
    """The App's identity cannot be written or read; the message says which file and why."""


class AppIdentity(Record):
    """Who the App is, and at which GitHub."""

    id: int = Field(ge=1)
    slug: str
    html_url: str
    api_url: str
    private_key_file: Path
    webhook_secret_file: Path
    client_id: str = ""
    """For sign-in; empty: the App was set up before this was stored."""
    client_secret_file: Path | None = None


class Places(Protocol):
    """Where the settings want things."""

    @property
    def state_dir(self) -> Path:
        """Folder of the identity."""
        ...

    @property
    def github_private_key_file(self) -> Path | None:
        """Where the key goes, if not there."""
        ...

    @property
    def github_webhook_secret_file(self) -> Path | None:
        """Where the secret goes, if not there."""
        ...

    @property
    def github_client_secret_file(self) -> Path | None:
        """Where the secret of sign-in goes, if not there."""
        ...


def load_identity(state_dir: Path) -> AppIdentity | None:
    """The identity that set-up left, or None. Raises `CredentialsError` on a damaged file."""
    path = state_dir / IDENTITY
    try:
        return AppIdentity.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its content is damaged"
        raise CredentialsError(
            f"{path} cannot be read ({reason}). Correct it, or remove it and set the App up again."
        ) from None


def save_identity(
    places: Places,
    *,
    app_id: int,
    slug: str,
    html_url: str,
    api_url: str,
    private_key: str,
    webhook_secret: str,
    client_id: str = "",
    client_secret: str = "",
) -> AppIdentity:
    """Write the App's identity and secrets; the identity last, because only it makes them valid.

    Raises `CredentialsError` when a file cannot be written.
    """
    identity = AppIdentity(
        id=app_id,
        slug=slug,
        html_url=html_url,
        api_url=api_url,
        private_key_file=places.github_private_key_file or places.state_dir / PRIVATE_KEY,
        webhook_secret_file=places.github_webhook_secret_file or places.state_dir / WEBHOOK_SECRET,
    )
    if client_id and client_secret:
        file = places.github_client_secret_file or places.state_dir / CLIENT_SECRET
        identity = identity.model_copy(update={"client_id": client_id, "client_secret_file": file})
        _write(file, client_secret.strip() + "\n")
    _write(identity.private_key_file, private_key.strip() + "\n")
    _write(identity.webhook_secret_file, webhook_secret.strip() + "\n")
    _write(places.state_dir / IDENTITY, identity.model_dump_json(indent=2) + "\n")
    return identity


def check_writable(places: Places) -> None:
    """Check that credentials can be written, before anything is created on GitHub.

    Raises `CredentialsError`.
    """
    for folder in {
        places.state_dir,
        *(f.parent for f in (places.github_private_key_file,) if f),
        *(f.parent for f in (places.github_webhook_secret_file,) if f),
        *(f.parent for f in (places.github_client_secret_file,) if f),
    }:
        probe = folder / ".patchwright-setup"
        _write(probe, "")
        probe.unlink(missing_ok=True)


def local_operator_token(state_dir: Path) -> Path:
    """The file with the operator's token of a service that nobody gave one; made at first.

    Raises `CredentialsError` when it cannot be written.
    """
    path = state_dir / OPERATOR_TOKEN
    if not path.is_file():
        _write(path, secrets.token_hex(24) + "\n")
    return path


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        # Created with its mode, so that others can never read it.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise CredentialsError(f"{path} cannot be written ({error.strerror}).") from None
