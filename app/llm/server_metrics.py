"""What SGLang's servers say of their caches, through the router or directly."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent.models.profiles import Profile
from app.llm.warm_streams import Room
from app.telemetry import logs

PATHS = ("/engine_metrics", "/metrics")
"""The router's collection of all its servers' metrics (sglang-router 0.3.2), and a server's own."""
ON_GPUS, ON_HOST = "sglang_max_total_num_tokens", "sglang_hicache_host_total_tokens"
"""Gauges of sglang 0.5.23 (`srt/observability/metrics_collector.py`), tokens of each server, which
writes `sglang:` for `sglang_`; the router does not."""
SERVER_LABELS = ("worker_addr", "dp_rank")
"""What tells servers and their attention groups apart; all ranks of a group hold the same."""
TIMEOUT_S = 10.0
LARGEST_BYTES = 20_000_000

_log = logs.get(__name__)


class NoMetrics(Exception):
    """A server does not say what its cache keeps; the message says why."""


def reports_cache(profile: Profile) -> bool:
    """Whether servers of this kind have SGLang's metrics."""
    return profile.flags.cache == "--enable-cache-report"


def kept_tokens(text: str) -> float:
    """Tokens that the servers of this text keep: on the GPUs, or behind them where that is more.

    HiCache copies what is on the GPUs, so the larger pool counts. Raises `NoMetrics`.
    """
    found: dict[str, dict[tuple[str, ...], float]] = {
        ON_GPUS: defaultdict(float),
        ON_HOST: defaultdict(float),
    }
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.replace(":", "_")
                if name in found and sample.value == sample.value:
                    server = tuple(sample.labels.get(label, "") for label in SERVER_LABELS)
                    kept = found[name]
                    kept[server] = max(kept[server], sample.value)
    except (ValueError, KeyError, IndexError) as problem:
        raise NoMetrics("it answered with something else than metrics") from problem
    on_host = found[ON_HOST]
    total = sum(max(tokens, on_host.get(server, 0.0)) for server, tokens in found[ON_GPUS].items())
    if not total > 0:
        raise NoMetrics(f"its metrics lack {ON_GPUS}: start the servers with --enable-metrics")
    return total


@dataclass(frozen=True, slots=True)
class CacheReader:
    """Asks the servers; where they do not tell, the setting counts, or nothing limits."""

    urls: Sequence[str]
    streams: int
    """From the settings; 0: not set."""
    api_key: str = ""
    transport: httpx.AsyncBaseTransport | None = None

    async def room(self) -> Room:
        """What all servers keep together. Never raises: a worker goes on without."""
        if self.streams:
            return Room(streams=self.streams)
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, transport=self.transport) as client:
                told = [await self._tokens(client, url) for url in self.urls]
        except (NoMetrics, httpx.HTTPError) as problem:
            _log.warning(
                "attempts are not limited by the model servers' caches, whose size is not known; "
                "set PATCHWRIGHT_MODEL_WARM_STREAMS to limit them",
                servers=", ".join(self.urls),
                why=str(problem) or type(problem).__name__,
            )
            return Room()
        return Room(tokens=sum(told))

    async def _tokens(self, client: httpx.AsyncClient, url: str) -> float:
        base = url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        status = 0
        for path in PATHS:
            answer = await client.get(base + path, headers=headers)
            status = answer.status_code
            if status == httpx.codes.OK:
                if len(answer.content) > LARGEST_BYTES:
                    raise NoMetrics("its metrics are larger than 20 MB")
                return await asyncio.to_thread(kept_tokens, answer.text)
        raise NoMetrics(f"it answered {status} to {' and '.join(PATHS)}")
