"""All settings of the App in one typed class, and how they are read.

Sources, the first with a value wins: arguments, environment (`PATCHWRIGHT_LABEL`), the file
named by `PATCHWRIGHT_CONFIG` (TOML, or `NAME=value` lines for any other ending), the defaults.
Secrets may be in separate files (`…_file`), which are read at each use, so that a key can be
changed without a restart.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy.engine import make_url

from app.settings.alerts import AlertSettings
from app.settings.base import CONFIG_VARIABLE, PREFIX, SettingsError, check_url
from app.settings.costs import CostSettings
from app.settings.database_url import check_database, with_timeouts
from app.settings.github import GithubSettings
from app.settings.llm import ModelSettings
from app.settings.model_servers import read_secret
from app.settings.nightly import NightlySettings
from app.settings.notifications import NotificationSettings
from app.settings.repositories import RepositorySettings
from app.settings.sandboxes import KubernetesSettings, SandboxSettings, SetupSettings
from app.settings.tools import ToolSettings
from sandbox.protocol import Limits


def _state_dir() -> Path:
    root = os.environ.get("XDG_STATE_HOME")
    return (Path(root) if root else Path.home() / ".local" / "state") / "patchwright"


class Settings(
    GithubSettings,
    ModelSettings,
    SandboxSettings,
    RepositorySettings,
    KubernetesSettings,
    CostSettings,
    SetupSettings,
    AlertSettings,
    NotificationSettings,
    ToolSettings,
    NightlySettings,
):
    """Every setting; see the descriptions, or run `patchwright settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    state_dir: Path = Field(
        default_factory=_state_dir,
        description="Folder for the database, mirrors of repositories and prepared trees.",
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="SQLAlchemy URL of the database (postgresql+psycopg://…); "
        "empty: SQLite in the state folder.",
    )
    database_url_file: Path | None = Field(
        None, description="File with the database URL; read at start-up."
    )
    host: str = Field("127.0.0.1", description="Address that the service listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port that the service listens on.")
    public_url: str = Field(
        "",
        description="Address at which people reach the service, for links in comments; "
        "empty: http://HOST:PORT.",
    )

    executor_id: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9._-]{0,62})?$",
        description="Stable, unique name of this worker, by which it resumes its unfinished runs "
        "after a restart. Empty: worker-0, with SQLite only.",
    )

    body_limit_bytes: int = Field(
        25 * 1024 * 1024, ge=1024, description="Largest delivery; 25 MiB is GitHub's own limit."
    )
    operator_token: SecretStr = Field(
        SecretStr(""),
        description="Token that gives access to the pages. A service that can be reached from "
        "elsewhere does not start without it, unless people sign in with GitHub; any other service "
        "creates one, in the file operator-token of the state folder.",
    )
    operator_token_file: Path | None = Field(None, description="File with the operator token.")
    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="Token with which Prometheus reads /metrics of the service and of workers; the "
        "operator token works too. Empty: only the operator token.",
    )
    metrics_token_file: Path | None = Field(None, description="File with the token for /metrics.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest severity that is logged."
    )
    log_format: Literal["text", "json"] = Field("text", description="Format of the log lines.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file that `PATCHWRIGHT_CONFIG` names."""
        name = os.environ.get(CONFIG_VARIABLE)
        if not name:
            return init_settings, env_settings
        path = Path(name)
        file: PydanticBaseSettingsSource = (
            TomlConfigSettingsSource(settings_cls, toml_file=path)
            if path.suffix == ".toml"
            else DotEnvSettingsSource(settings_cls, env_file=path)
        )
        return init_settings, env_settings, file

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        return check_url(value, ("http", "https")) if value else value

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: SecretStr) -> SecretStr:
        if url := value.get_secret_value():
            check_database(url)
        return value

    @model_validator(mode="after")
    def _check_offered_models(self) -> Self:
        for profile in self.offered_models:
            if profile != "offline" and not self.server_of(profile).url:
                raise ValueError(
                    f"{PREFIX}REPO_MODELS offers {profile!r}, which needs a server: set its url in "
                    f"{PREFIX}MODEL_SERVERS, or {PREFIX}MODEL_URL"
                )
        return self

    @property
    def offered_models(self) -> tuple[str, ...]:
        """The profiles that runs may use: the one in effect, then those for repositories."""
        return tuple(dict.fromkeys((self.profile, *self.repo_models)))

    @property
    def base_url(self) -> str:
        """Address for links to this service, without a slash at its end."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def database(self) -> str:
        """URL of the journal's database in effect. Raises `SettingsError`."""
        url = self.secret("database_url")
        if url and self.database_url_file is not None:
            try:
                check_database(url)
            except ValueError as error:
                raise SettingsError(
                    f"{PREFIX}DATABASE_URL_FILE: {self.database_url_file} {error}. Correct it."
                ) from None
        return url or f"sqlite:///{self.state_dir / 'patchwright.db'}"

    @property
    def engine_database(self) -> str:
        """URL of the durable engine's database: its own SQLite file, or the same PostgreSQL."""
        if make_url(self.database).get_backend_name() == "sqlite":
            return f"sqlite:///{self.state_dir / 'engine.db'}"
        return with_timeouts(self.database)

    @property
    def limits(self) -> Limits:
        """What one sandbox may use."""
        return Limits(
            cpus=self.sandbox_cpus,
            memory_bytes=self.sandbox_memory_mb * 1024**2,
            pids=self.sandbox_pids,
            disk_bytes=self.sandbox_disk_mb * 1024**2,
            tree_bytes=self.tree_mb * 1024**2,
        )

    @property
    def installation(self) -> str:
        """A name that tells this Patchwright from others on the same Docker engine."""
        return hashlib.sha256(str(self.state_dir.absolute()).encode()).hexdigest()[:12]

    @property
    def executor(self) -> str:
        """This worker's name in effect."""
        return self.executor_id or "worker-0"

    def secret(
        self,
        name: Literal[
            "github_private_key",
            "github_webhook_secret",
            "github_client_secret",
            "model_api_key",
            "operator_token",
            "metrics_token",
            "database_url",
        ],
    ) -> str:
        """A secret's value now, from its file if one is named; empty when not set.

        Raises `SettingsError` when the file cannot be read.
        """
        path: Path | None = getattr(self, f"{name}_file")
        return read_secret(getattr(self, name), path, f"{PREFIX}{name.upper()}_FILE")

    def model_key(self, profile: str) -> str:
        """The key for that profile's servers now, and for no others; empty when there is none.

        Raises `SettingsError` when its file cannot be read.
        """
        if not self.has_own_server(profile):
            return self.secret("model_api_key")
        server = self.model_servers[profile]
        variable = f"{PREFIX}MODEL_SERVERS ({profile}.api_key_file)"
        return read_secret(server.api_key, server.api_key_file, variable)
