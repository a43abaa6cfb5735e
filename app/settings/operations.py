"""Settings of operation: workers, the installation's budget, how long things are kept, traces."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings


class OperationSettings(BaseSettings):
    """How Patchwright is run."""

    worker_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port on which `patchwright worker` answers /healthz, /readyz and /metrics, at "
        "the address PATCHWRIGHT_HOST; 0: none. The service answers them on its own port.",
    )
    worker_beat_s: float = Field(
        5.0, gt=0, description="Seconds between two heartbeats of a worker (PostgreSQL)."
    )
    worker_dead_after_s: float = Field(
        45.0,
        gt=0,
        description="Seconds without a heartbeat after which another worker takes over a "
        "worker's runs (PostgreSQL).",
    )
    stop_patience_s: float = Field(
        20.0,
        ge=0,
        description="Seconds that running tool calls get to finish when a worker stops; then "
        "they are cut off.",
    )
    drain_minutes: float = Field(
        240.0, ge=0, description="Longest time that a draining worker waits for its runs to finish."
    )
    tokens_per_day: int = Field(
        0,
        ge=0,
        description="Tokens that all runs together may use within a day (UTC); after that, runs "
        "wait for the next day. 0: no limit.",
    )
    keep_journals_days: float = Field(
        90.0,
        ge=0,
        description="Days after which the journal of a finished run is moved to a compressed "
        "file; 0: never.",
    )
    keep_journals_mb: int = Field(
        0,
        ge=0,
        description="Size of the database above which the journals of the oldest finished runs "
        "are moved early, in MiB; 0: no limit.",
    )
    keep_archives_days: float = Field(
        730.0, ge=0, description="Days after which these files are deleted; 0: never."
    )
    keep_archives_mb: int = Field(
        0,
        ge=0,
        description="Total size of these files above which the oldest are deleted, in MiB; "
        "0: no limit.",
    )
    otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry collector that receives traces by OTLP over HTTP, "
        "e.g. http://127.0.0.1:4318; empty: no traces.",
    )

    @model_validator(mode="after")
    def _check_beats(self) -> Self:
        if self.worker_dead_after_s < 3 * self.worker_beat_s:
            raise ValueError(
                "PATCHWRIGHT_WORKER_DEAD_AFTER_S must be at least three times "
                "PATCHWRIGHT_WORKER_BEAT_S, or one late heartbeat costs a worker its runs"
            )
        return self
