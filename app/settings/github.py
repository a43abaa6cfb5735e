"""Settings about GitHub: which one, who the App is there, who may start runs, and how many."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from app.github.records import TriageUp
from app.settings.base import PREFIX, check_url
from app.settings.operations import OperationSettings
from sandbox.egress.rules import networks_of

SignedCommits = Literal["when_required", "always", "never"]
"""When commits are signed."""


class GithubSettings(OperationSettings):
    """The part of `app.settings.schema.Settings` that is about GitHub."""

    github_api_url: str = Field(
        "https://api.github.com",
        description="URL of GitHub's REST API; for Enterprise Server https://HOST/api/v3.",
    )
    github_api_version: Literal["2022-11-28", "2026-03-10"] = Field(
        "2022-11-28",
        description="Version of GitHub's REST API that every call names. Every Enterprise Server "
        "in support knows the older one; choose the newer one before GitHub ends the older.",
    )
    github_web_url: str = Field(
        "https://github.com", description="GitHub's web URL, for links and for git."
    )
    github_ca_file: Path | None = Field(
        None,
        description="Certificates (PEM) to trust for GitHub instead of the built-in ones, for an "
        "Enterprise Server. A proxy is taken from HTTPS_PROXY and NO_PROXY.",
    )
    attachment_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Networks (CIDR) that are not public and to which an attachment of an issue "
        "may lead, separated by commas: an Enterprise Server's own storage. Other addresses that "
        "are not public are never asked, but for GitHub's own.",
    )
    github_app_id: int = Field(
        0, ge=0, description="The GitHub App's id; 0: not set up yet, see `patchwright setup-app`."
    )
    github_app_slug: str = Field(
        "patchwright",
        pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        description="The App's name in its URL; people address it as /NAME and @NAME.",
    )
    github_private_key: SecretStr = Field(SecretStr(""), description="The App's private key (PEM).")
    github_private_key_file: Path | None = Field(
        None, description="File with the App's private key (PEM)."
    )
    github_webhook_secret: SecretStr = Field(
        SecretStr(""), description="The secret that GitHub signs deliveries with."
    )
    github_webhook_secret_file: Path | None = Field(
        None, description="File with the webhook secret."
    )
    github_client_id: str = Field(
        "",
        description="The App's client id, so that people can sign in to the pages with GitHub.",
    )
    github_client_secret: SecretStr = Field(
        SecretStr(""), description="The App's client secret, for sign-in with GitHub."
    )
    github_client_secret_file: Path | None = Field(None, description="File with the client secret.")

    machine_user: str = Field(
        "",
        description="Login of an ordinary account with access to the repositories: assigning it to "
        "an issue starts a run. GitHub lets nobody assign an App. Empty: no assignment does.",
    )
    label: str = Field("patchwright", min_length=1, description="Label that starts a run.")
    prove_label: str = Field(
        "patchwright:prove",
        min_length=1,
        description="Label on a pull request that has it proven, and again after each push.",
    )
    label_permission: TriageUp = Field(
        "triage", description="Lowest role that lets a person start a run with the label."
    )

    onboarding: bool = Field(
        True,
        description="When the App is installed, propose .github/patchwright.yml to each repository "
        "in a pull request. Until it is merged, nothing else is done there.",
    )
    onboarding_at_once: int = Field(
        20,
        ge=1,
        description="Most such pull requests of one account that are open or being made; further "
        "repositories wait until one is merged or closed.",
    )

    repo_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Model profiles that repositories may choose in .github/patchwright.yml, "
        "separated by commas, besides the one in effect.",
    )
    bad_repo_config: Literal["defaults", "stop"] = Field(
        "defaults",
        description="What a run does when .github/patchwright.yml has a mistake: continue "
        "without it, or stop. Either way one comment names the line.",
    )

    when_claimed: Literal["wait", "work"] = Field(
        "wait",
        description="What becomes of an issue that an open pull request of somebody else, who may "
        "write to the repository, says to fix: wait says so on the issue, and a /patchwright fix "
        "after that begins the work; work begins at once.",
    )
    question_hours: float = Field(
        24.0,
        ge=0,
        le=720,
        description="How long a run that has asked a question waits for the answer, in hours; then "
        "it takes the default that it named. 0: runs ask nothing.",
    )
    plan_days: float = Field(
        14.0,
        gt=0,
        le=90,
        description="How long a run that has proposed a plan waits for its approval, in days; then "
        "it ends, with the plan in its diagnosis.",
    )
    pull_expires_days: float = Field(
        0.0,
        ge=0,
        le=3650,
        description="Days after which a pull request of the App is closed if no person commented "
        "on it, reviewed it or pushed to it; it is said before, on the pull request. 0: never. "
        "Repositories may choose for themselves (pull_request.expires).",
    )
    pull_reminder_days: float = Field(
        5.0,
        ge=1,
        le=90,
        description="How long before that it is said, in days; at most half of the time.",
    )
    keep_label: str = Field(
        "patchwright:keep",
        min_length=1,
        description="Label on a pull request of the App that keeps it from being closed so.",
    )
    reviewers_from_history: bool = Field(
        False,
        description="Ask the author of the change that broke it, and the last authors of the "
        "patched lines, to review the pull request: at most three people, only with access to the "
        "repository. Off, because it sends notifications to people who did not ask for them.",
    )

    signed_commits: SignedCommits = Field(
        "when_required",
        description="When commits are made by GitHub's API, which signs them, instead of pushed: "
        "when_required asks the rules of the branches and tries it where a push is refused for "
        "missing signatures; always; never.",
    )
    signing_key_file: Path | None = Field(
        None,
        description="Private SSH key (Ed25519 or RSA, no passphrase) with which commits are signed "
        "that GitHub's API cannot make: merges, executable files, more than 30 MB.",
    )
    signing_name: str = Field(
        "", description="Name of the account that has this key as a signing key: the committer."
    )
    signing_email: str = Field("", description="Verified e-mail address of that account.")

    concurrency: int = Field(4, ge=1, description="Concurrent runs, across all workers.")
    worker_concurrency: int = Field(2, ge=1, description="Concurrent runs in this process.")
    repository_concurrency: int = Field(1, ge=1, description="Concurrent runs per repository.")
    check_concurrency: int = Field(
        1,
        ge=1,
        description="Concurrent checks of whether a repository is ready, in this process; they "
        "come on top of its runs.",
    )
    proof_concurrency: int = Field(
        1,
        ge=1,
        description="Concurrent proofs of pull requests in this process; they come on top of its "
        "runs.",
    )
    repository_proofs: int = Field(
        2, ge=1, description="Concurrent proofs per repository, across all workers."
    )
    proof_minutes: float = Field(
        60.0, gt=0, description="Longest proof of a pull request, in minutes."
    )
    organisation_proofs_per_day: int = Field(
        0,
        ge=0,
        description="Proofs of pull requests that may be asked for within 24 hours in one "
        "organisation; what goes beyond is not proven, and its check says so. 0: no limit.",
    )
    repository_proofs_per_day: int = Field(
        0, ge=0, description="The same in one repository; 0: no limit."
    )
    organisation_concurrency: int = Field(
        0, ge=0, description="Concurrent runs per organisation; 0: no separate limit."
    )
    runs_per_day: int = Field(
        0, ge=0, description="Runs that may start within 24 hours, in total; 0: no limit."
    )
    organisation_runs_per_day: int = Field(
        0, ge=0, description="The same per organisation; 0: no limit."
    )
    repository_runs_per_day: int = Field(
        0, ge=0, description="The same per repository; 0: no limit."
    )

    @field_validator("attachment_networks")
    @classmethod
    def _check_attachment_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks_of(value)
        return value

    @field_validator("repo_models", "attachment_networks", mode="before")
    @classmethod
    def _split_models_and_networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("machine_user")
    @classmethod
    def _check_machine_user(cls, value: str) -> str:
        login = value.strip().removeprefix("@")
        if login and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", login):
            raise ValueError("a login has letters, digits and hyphens only")
        return login

    @field_validator("label_permission", mode="before")
    @classmethod
    def _check_label_permission(cls, value: object) -> object:
        if value == "read":
            raise ValueError(
                "everybody has the read role in a public repository. "
                "Use triage, write, maintain or admin"
            )
        return value

    @field_validator("github_api_url", "github_web_url")
    @classmethod
    def _check_github_urls(cls, value: str) -> str:
        return check_url(value, ("http", "https")) if value else value

    @model_validator(mode="after")
    def _check_signing(self) -> Self:
        if self.signing_key_file is not None and not (self.signing_name and self.signing_email):
            raise ValueError(
                f"{PREFIX}SIGNING_KEY_FILE needs {PREFIX}SIGNING_NAME and {PREFIX}SIGNING_EMAIL: "
                "the account at GitHub that has the key"
            )
        return self

    @model_validator(mode="after")
    def _check_concurrency(self) -> Self:
        if self.repository_concurrency > self.concurrency:
            raise ValueError(
                f"{PREFIX}REPOSITORY_CONCURRENCY must not be above {PREFIX}CONCURRENCY"
            )
        return self
