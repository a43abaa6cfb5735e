"""The GitHub App's registration by GitHub's manifest flow: what is asked for, and the exchange.

Facts: GitHub's pages "Registering a GitHub App from a manifest" and "Choosing permissions for a
GitHub App". The person sends the manifest to GitHub from a form, agrees there, and comes back with
a code that is good for one hour and one exchange; the exchange gives the App's id and its secrets.
"""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.github.transport import version_header
from app.github.webhooks import EVENTS
from app.settings import credentials
from app.settings.credentials import AppIdentity, CredentialsError
from app.settings.schema import Settings

PERMISSIONS = {
    "actions": "write",
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "merge_queues": "read",
    "metadata": "read",
    "pull_requests": "write",
}
"""The least with which everything works, and what each is for: `PERMISSION_REASONS`."""

PERMISSION_REASONS = {
    "issues": ("read and write", "reads the issue, writes the status comment"),
    "pull_requests": ("read and write", "opens pull requests, answers their reviews"),
    "contents": ("read and write", "fetches the code, pushes branches patchwright/…"),
    "checks": ("read and write", "shows the proof as a check, reads failed ones"),
    "actions": ("read and write", "reads the logs of failed CI jobs, runs flaky ones again"),
    "merge_queues": ("read", "hears what a merge queue wants checked"),
    "metadata": ("read", "who may do what; GitHub gives it to every App"),
}

TIMEOUT_S = 30.0
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?")


class SetupError(Exception):
    """The App was not set up; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class AppChoices:
    """What the person chose in the form."""

    name: str
    organisation: str
    """Empty: the person's own account."""
    public_url: str
    """Where GitHub can reach this service."""


class _Conversion(BaseModel):
    """The part of GitHub's answer that is used."""

    model_config = ConfigDict(extra="ignore")

    id: int = Field(ge=1)
    slug: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    html_url: str
    pem: str = Field(min_length=1, repr=False)
    webhook_secret: str | None = Field(None, repr=False)
    client_id: str = ""
    client_secret: str = Field("", repr=False)


def check_choices(choices: AppChoices, github_web_url: str) -> tuple[str, ...]:
    """What is wrong with the person's choice, in sentences; empty when nothing is."""
    wrong = []
    # GitHub's own bounds of an App's name.
    if not 1 <= len(choices.name) <= 34 or not choices.name.isprintable():
        wrong.append("The name must have 1 to 34 characters.")
    if choices.organisation and not _OWNER.fullmatch(choices.organisation):
        wrong.append("The organisation is not a GitHub login.")
    try:
        url = urlsplit(choices.public_url)
    except ValueError:  # half of an IPv6 address
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        wrong.append("The URL must look like https://patchwright.example.com.")
    elif _is_loopback(url.hostname) and not _is_loopback(urlsplit(github_web_url).hostname or ""):
        wrong.append(
            "GitHub cannot reach this machine at the given URL, which only works on the machine "
            "itself. Give the URL at which GitHub can reach the service, or that of a webhook "
            "relay."
        )
    return tuple(wrong)


def manifest(choices: AppChoices, redirect_url: str) -> str:
    """The App's manifest as JSON, for GitHub's form."""
    base = choices.public_url.rstrip("/")
    return json.dumps(
        {
            "name": choices.name,
            "url": base,
            "description": "Debugs labelled issues and opens pull requests that carry their proof.",
            "public": False,
            "hook_attributes": {"url": f"{base}/webhooks/github", "active": True},
            "redirect_url": redirect_url,
            "callback_urls": [f"{base}/sign-in/done"],
            "default_permissions": PERMISSIONS,
            "default_events": EVENTS,
        }
    )


def form_address(github_web_url: str, organisation: str, state: str) -> str:
    """Where the manifest is sent to."""
    owner = f"/organizations/{quote(organisation, safe='')}" if organisation else ""
    return f"{github_web_url}{owner}/settings/apps/new?state={quote(state, safe='')}"


async def exchange(settings: Settings, code: str) -> AppIdentity:
    """Trade the code for the App's id and secrets, and keep them.

    Raises `SetupError`; then nothing was kept, and a new App has to be made, for a code is good
    only once.
    """
    if not _CODE.fullmatch(code):
        raise SetupError("GitHub's code is missing or malformed. Start the set-up again.")
    try:
        # Before the exchange: afterwards the secrets would be lost.
        credentials.check_writable(settings)
        made = await _convert(settings, code)
        return credentials.save_identity(
            settings,
            app_id=made.id,
            slug=made.slug,
            html_url=made.html_url,
            api_url=settings.github_api_url,
            private_key=made.pem,
            webhook_secret=made.webhook_secret or "",
            client_id=made.client_id,
            client_secret=made.client_secret,
        )
    except CredentialsError as error:
        raise SetupError(str(error)) from None


async def _convert(settings: Settings, code: str) -> _Conversion:
    url = f"{settings.github_api_url}/app-manifests/{code}/conversions"
    headers = {
        "Accept": "application/vnd.github+json",
        **version_header(settings.github_api_version),
    }
    try:
        # The proxy comes from the environment, as for every other call.
        async with httpx.AsyncClient(
            verify=_trust(settings.github_ca_file), timeout=TIMEOUT_S
        ) as client:
            answer = await client.post(url, headers=headers)
    except httpx.HTTPError as error:
        reason = type(error).__name__
        raise SetupError(
            f"{settings.github_api_url} cannot be reached ({reason}). Correct "
            "PATCHWRIGHT_GITHUB_API_URL, PATCHWRIGHT_GITHUB_CA_FILE or HTTPS_PROXY, then start the "
            "set-up again."
        ) from None
    if answer.status_code == 404:
        raise SetupError(
            "GitHub does not know the code: it is older than an hour or was already used. "
            "Start the set-up again."
        )
    if answer.status_code != 201:
        raise SetupError(f"GitHub answered {answer.status_code}. Start the set-up again later.")
    try:
        made = _Conversion.model_validate_json(answer.content)
    except ValidationError:
        raise SetupError("GitHub's answer does not match its API description.") from None
    if not made.webhook_secret:
        raise SetupError(
            "GitHub created the App without a webhook secret. Delete that App on GitHub, then "
            "start the set-up again with a URL that GitHub can reach."
        )
    return made


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise SetupError(
            f"PATCHWRIGHT_GITHUB_CA_FILE: {ca_file} holds no certificates in PEM form."
        ) from None


def _is_loopback(host: str) -> bool:
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
