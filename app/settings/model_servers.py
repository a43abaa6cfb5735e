"""Where a model profile is served: addresses, the model's name there, and the key."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from app.settings.base import SettingsError, check_url


class ModelServer(BaseModel):
    """The servers of one model profile, and how they are spoken to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: tuple[str, ...] = ()
    """Empty: the servers of all profiles, with their key."""
    name: str = ""
    """The model's name there; empty: the profile's."""
    api_key: SecretStr = SecretStr("")
    api_key_file: Path | None = None
    """Read at each use, so that a key can be changed without a restart."""
    warm_streams: int = Field(0, ge=0)
    """Attempts whose contexts the caches hold at once; 0: by the servers' metrics."""

    @property
    def has_key(self) -> bool:
        """Whether a key is named."""
        return self.api_key_file is not None or bool(self.api_key.get_secret_value())

    @field_validator("url", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        return split_list(value)

    @field_validator("url")
    @classmethod
    def _check_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_model_urls(value)


def split_list(value: object) -> object:
    """The parts of a text that are separated by commas; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def check_model_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    """The addresses without a slash at their ends. Raises `ValueError`."""
    return tuple(check_url(url, ("http", "https")) for url in urls)


def read_secret(value: SecretStr, file: Path | None, variable: str) -> str:
    """A secret's value now, from its file if one is named; empty when not set.

    Raises `SettingsError` when the file cannot be read.
    """
    if file is None:
        return value.get_secret_value()
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(
            f"{variable}: {file} cannot be read ({reason}). "
            "Correct the path or the file's permissions."
        ) from error
