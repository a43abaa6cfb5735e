"""Settings about the operator's own tools."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class ToolSettings(BaseSettings):
    """The part of `Settings` about tools on MCP servers."""

    tools_file: Path | None = Field(
        None,
        description="File (TOML) that names the operator's MCP servers, which of their tools runs "
        "may use, and in which repositories; read at each use. Empty: runs have only the tools of "
        "their sandbox.",
    )

    @field_validator("tools_file")
    @classmethod
    def _check_tools_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value
