"""OpenTelemetry traces: delivery → run → turn → tool call. Off unless an endpoint is set.

A run's spans come from several processes. They meet in one trace without handing anything over,
because the trace's id and the ids of the upper spans are computed from the run's id.
No text of issues, models or commands goes into a span: names, numbers and ids only.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, Tracer

from agent.journal.events import Recorded, ToolFinished

_chosen: ContextVar[tuple[int, int] | None] = ContextVar("chosen", default=None)
"""Trace and span id that the next span should have."""
_tracer: Tracer | None = None
_turns: dict[tuple[str, int], SpanContext] = {}
"""The latest turn of each run and attempt: its tool calls belong to it."""
_lock = threading.Lock()


class _Ids(RandomIdGenerator):
    """Ids at random, unless one was chosen."""

    def generate_span_id(self) -> int:
        chosen = _chosen.get()
        return chosen[1] if chosen else super().generate_span_id()

    def generate_trace_id(self) -> int:
        chosen = _chosen.get()
        return chosen[0] if chosen else super().generate_trace_id()


def configure(endpoint: str, service: str, exporter: SpanExporter | None = None) -> TracerProvider:
    """Send spans to a collector from now on; `exporter` replaces it. Ends with `shutdown()`."""
    global _tracer
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), id_generator=_Ids()
    )
    wanted = exporter or OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(wanted))
    _tracer = provider.get_tracer("patchwright")
    return provider


@contextmanager
def exporting(endpoint: str, service: str, exporter: SpanExporter | None = None) -> Iterator[None]:
    """Traces during the block if there is an endpoint; the rest is sent at the end."""
    global _tracer
    if not endpoint and exporter is None:
        yield
        return
    provider = configure(endpoint, service, exporter)
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()


@contextmanager
def delivery(run_id: str, delivery_id: str, event: str) -> Iterator[None]:
    """The root: a delivery that began a run is answered."""
    with _span(
        "delivery",
        run_id,
        None,
        _id(run_id, "delivery", 8),
        {"delivery.id": delivery_id, "delivery.event": event},
    ):
        yield


@contextmanager
def run(run_id: str, number: int, epoch: int, worker: str) -> Iterator[None]:
    """A worker works on a run; another worker that continues it gets a separate span."""
    parent = _context(run_id, _id(run_id, "delivery", 8))
    span = _id(run_id, f"run {epoch}", 8)
    attributes: dict[str, str | int] = {"run.round": number, "run.epoch": epoch, "worker": worker}
    with _lock:
        _turns[run_id, 0] = _context(run_id, span)
    try:
        with _span("run", run_id, parent, span, attributes):
            yield
    finally:
        with _lock:
            for key in [key for key in _turns if key[0] == run_id]:
                del _turns[key]


@contextmanager
def turn(run_id: str, model: str, attempt: int = 1) -> Iterator[None]:
    """The model answers once."""
    if _tracer is None:
        yield
        return
    with _lock:
        parent = _turns.get((run_id, 0))
    with _span("turn", run_id, parent, 0, {"model": model, "attempt": attempt}) as context:
        if context is not None:
            with _lock:
                _turns[run_id, attempt] = context
        yield


def trace_event(run_id: str, recorded: Recorded) -> None:
    """A journal entry: a finished tool call becomes a span of the time that it took."""
    event = recorded.event
    if _tracer is None or not isinstance(event, ToolFinished):
        return
    with _lock:
        parent = _turns.get((run_id, event.attempt)) or _turns.get((run_id, 0))
    end = int(recorded.at.timestamp() * 1e9)
    span = _tracer.start_span(
        "tool call",
        context=_under(parent),
        start_time=end - event.duration_ms * 1_000_000,
        attributes={
            "run.id": run_id,
            "tool.name": event.name,
            "tool.status": event.status,
            "attempt": event.attempt,
        },
    )
    if event.status in ("error", "timeout"):
        span.set_status(StatusCode.ERROR)
    span.end(end_time=end)


@contextmanager
def _span(
    name: str,
    run_id: str,
    parent: SpanContext | None,
    span_id: int,
    attributes: dict[str, str | int],
) -> Iterator[SpanContext | None]:
    if _tracer is None:
        yield None
        return
    token = _chosen.set((_id(run_id, "trace", 16), span_id)) if span_id else None
    try:
        span = _tracer.start_span(
            name, context=_under(parent), attributes={"run.id": run_id, **attributes}
        )
    finally:
        if token is not None:
            _chosen.reset(token)
    try:
        yield span.get_span_context()
    except BaseException as error:
        span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        span.end()


def _under(parent: SpanContext | None) -> Context:
    # An empty context and not the current one: libraries' spans are none of ours.
    empty = Context()
    return trace.set_span_in_context(NonRecordingSpan(parent), empty) if parent else empty


def _context(run_id: str, span_id: int) -> SpanContext:
    return SpanContext(_id(run_id, "trace", 16), span_id, is_remote=True, trace_flags=TraceFlags(1))


def _id(run_id: str, what: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{run_id} {what}".encode()).digest()[:size]) or 1
