"""The operator's file about MCP servers: which tools runs may use, and in which repositories.

TOML, as `docs/tools.md` shows. Read at each use, so that what is taken out of it ends at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from app.settings.base import PREFIX, SettingsError
from app.settings.operator_files import Table, load_file, read_secret

ServerName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,19}$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
ToolName = Annotated[str, Field(min_length=1, max_length=128)]
Repository = Annotated[str, Field(pattern=r"^[\w.*?\[\]!-]{1,100}/[\w.*?\[\]!-]{1,100}$")]


class Server(Table):
    """An MCP server: a program that is started beside the worker, or an address."""

    name: ServerName
    repositories: tuple[Repository, ...] = Field(min_length=1)
    """Patterns of `owner/name`: whose runs may use it."""
    public: bool = False
    """Whether runs of public repositories may, too: all that they write can be read by anybody."""
    tools: tuple[ToolName, ...] = ()
    """Tools that may be used if the server says that they only read."""
    writes: tuple[ToolName, ...] = ()
    """Tools that may be used although they may change something."""
    command: tuple[str, ...] = ()
    """The program with its arguments; it speaks MCP over its standard input and output."""
    env: dict[VariableName, str] = Field(default_factory=dict)
    """Its whole environment, together with …"""
    env_files: dict[VariableName, Path] = Field(default_factory=dict)
    """… variables whose values, which are secrets, stand in files."""
    folder: Path | None = None
    """The folder that it starts in; empty: `/`."""
    memory_mb: int = Field(2048, ge=64, le=65536)
    """Writable memory that each of its processes may have, in MiB."""
    url: str = ""
    """The address of a server that speaks Streamable HTTP."""
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    header_files: dict[HeaderName, Path] = Field(default_factory=dict)
    """Headers whose whole values, which are secrets, stand in files."""
    ca_file: Path | None = None
    """Certificates (PEM) to trust instead of the usual ones."""
    internal: bool = False
    """Whether the address may be `http://`, inside a network that the operator trusts."""
    start_s: float = Field(20.0, ge=1, le=300)
    """How long it may take to start and to list its tools, in seconds."""
    timeout_s: float = Field(30.0, ge=1, le=600)
    """How long a call may take, in seconds."""
    output_kb: int = Field(256, ge=1, le=4096)
    """How much of an answer is kept, in thousands of characters."""
    calls_per_run: int = Field(50, ge=1, le=1000)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError(f"{self.name}: it needs either command or url")
        if self.command and not self.command[0].startswith("/"):
            raise ValueError(
                f"{self.name}: command must begin with a whole path; no PATH is searched"
            )
        of_program = self.env or self.env_files or self.folder
        if self.url and of_program:
            raise ValueError(f"{self.name}: env, env_files and folder belong to a command")
        if self.command and (self.headers or self.header_files or self.ca_file or self.internal):
            raise ValueError(f"{self.name}: headers, ca_file and internal belong to a url")
        if self.url:
            _check_url(self.name, self.url, internal=self.internal)
        if both := sorted({*self.tools} & {*self.writes}):
            raise ValueError(f"{self.name}: {both[0]} is in both tools and writes")
        if not self.tools and not self.writes:
            raise ValueError(f"{self.name}: name the tools that may be used, in tools or writes")
        return self

    def serves(self, repository: str, *, private: bool) -> bool:
        """Whether runs of a repository (`owner/name`) may use it."""
        if not private and not self.public:
            return False
        name = repository.lower()
        return any(fnmatchcase(name, pattern.lower()) for pattern in self.repositories)

    @property
    def environment(self) -> dict[str, str]:
        """The program's whole environment, now. Raises `SettingsError`."""
        return {**self.env, **_read_all(self.env_files)}

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of every request, now. Raises `SettingsError`."""
        return {**self.headers, **_read_all(self.header_files)}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told on, now, and the parts of headers. Raises `SettingsError`."""
        values = (*_read_all(self.env_files).values(), *_read_all(self.header_files).values())
        words = {word for value in values for word in (value, value.rpartition(" ")[2])}
        return tuple(sorted(words, key=len, reverse=True))


def _read_all(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: read_secret(path) for name, path in files.items()}


def _check_url(name: str, url: str, *, internal: bool) -> None:
    parts = urlsplit(url)
    allowed = ("https", "http") if internal else ("https",)
    if parts.scheme not in allowed or not parts.hostname:
        raise ValueError(
            f"{name}: url must begin with {' or '.join(s + '://' for s in allowed)}"
            f"{'' if internal else ' (http:// only with internal = true)'}"
        )
    if parts.username or parts.password:
        raise ValueError(f"{name}: url must not have a user or password in it; use header_files")


class ToolsFile(Table):
    """The whole file."""

    server: tuple[Server, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [each.name for each in self.server]
        if len(set(names)) < len(names):
            raise ValueError("two servers have the same name")
        return self

    def named(self, name: str) -> Server | None:
        """The server of this name."""
        return next((each for each in self.server if each.name == name), None)

    def serving(
        self, repository: str, *, private: bool, wanted: Sequence[str] | None
    ) -> tuple[Server, ...]:
        """The servers for runs of a repository; `wanted`: those that it asks for, None: all."""
        return tuple(
            each
            for each in self.server
            if each.serves(repository, private=private) and (wanted is None or each.name in wanted)
        )


def load(path: Path | None) -> ToolsFile:
    """The file as it is now; without one, no server. Raises `SettingsError`."""
    return load_file(ToolsFile, "TOOLS_FILE", path)


def check_extra() -> None:
    """Raises `SettingsError` where the official MCP package, an extra, is not installed."""
    try:
        import mcp  # noqa: F401 - only where servers are named; it takes a second to import
    except ImportError:
        raise SettingsError(
            f"{PREFIX}TOOLS_FILE needs the MCP package. Install it: "
            "pip install 'patchwright[tools]'."
        ) from None
