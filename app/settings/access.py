"""What opens the pages: always a proof, and on a service that others can reach one that was chosen.

Where a request comes from proves nothing: a proxy on the same machine makes everybody's requests
come from it, and few proxies say so by themselves.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from app.settings.base import PREFIX, SettingsError
from app.settings.credentials import CredentialsError, local_operator_token
from app.settings.schema import Settings


def with_operator_token(settings: Settings) -> Settings:
    """The settings with a token that opens the pages.

    Without one, a service that only this machine can reach gets its own: a file in the state folder
    that its user alone can read. Raises `SettingsError` where others can reach the service and
    neither a token nor sign-in with GitHub is set, and where the token's file is empty.
    """
    if settings.secret("operator_token"):
        return settings
    if settings.operator_token_file is not None:
        raise SettingsError(
            f"{PREFIX}OPERATOR_TOKEN_FILE: {settings.operator_token_file} is empty. "
            "Put a long random string into it: openssl rand -hex 24."
        )
    signs_in = bool(settings.github_client_id and settings.secret("github_client_secret"))
    if signs_in:
        return settings
    if where := reachable_from_elsewhere(settings):
        raise SettingsError(
            f"{where} can be reached from elsewhere, and nothing says who may see the pages. Set "
            f"{PREFIX}OPERATOR_TOKEN_FILE to a file with a random string (openssl rand -hex 24)"
            f", or {PREFIX}GITHUB_CLIENT_ID and {PREFIX}GITHUB_CLIENT_SECRET_FILE for sign-in with "
            "GitHub."
        )
    try:
        file = local_operator_token(settings.state_dir)
    except CredentialsError as error:
        raise SettingsError(str(error)) from None
    return settings.model_copy(update={"operator_token_file": file})


def reachable_from_elsewhere(settings: Settings) -> str:
    """The setting by which others can reach the service, with its value; empty: they cannot."""
    if not is_loopback(settings.host):
        return f"{PREFIX}HOST={settings.host}"
    if settings.public_url and not is_loopback(urlsplit(settings.public_url).hostname or ""):
        return f"{PREFIX}PUBLIC_URL={settings.public_url}"
    return ""


def is_loopback(host: str) -> bool:
    """Whether a host's name or address can only mean this machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold().rstrip(".") == "localhost"
