"""What all groups of settings share."""

from __future__ import annotations

PREFIX = "PATCHWRIGHT_"


def check_url(value: str, schemes: tuple[str, ...]) -> str:
    """The URL without a slash at its end. Raises `ValueError` for another scheme."""
    if not value.startswith(tuple(f"{s}://" for s in schemes)):
        raise ValueError(
            f"must be a URL that starts with {' or '.join(s + '://' for s in schemes)}"
        )
    return value.rstrip("/")


CONFIG_VARIABLE = f"{PREFIX}CONFIG"


class SettingsError(Exception):
    """A setting is wrong; the message names the variable and what to do."""
