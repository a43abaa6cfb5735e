"""Log lines: structured, with the run's id, and without secrets."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

from agent.text.visible import visible

_SECRET_NAME = re.compile(r"token|secret|password|private_key|api_key|authorization", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_\w{20,}"
    r"|(?<=x-access-token:)[^@\s]{1,1000}(?=@)"
    r"|(?<=Bearer )[\w.~+/=-]{16,}"
)
KEY_BEGINS, KEY_ENDS = "-----BEGIN ", "PRIVATE KEY-----"
_KEY_BEGINS = re.compile(KEY_BEGINS + r"[A-Z ]{0,40}" + KEY_ENDS)
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,40}" + KEY_ENDS)
_KEY_OPEN = re.compile(r"(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{16,})+")
"""What follows the beginning of a key whose end is missing."""
LONGEST_KEY = 10_000
"""Characters of a private key. No further is its end looked for: a log may name beginnings only."""


def redact(text: str) -> str:
    """The text without what looks like GitHub's tokens or a private key."""
    return _SECRET_TEXT.sub("[secret]", _without_keys(text))


def _without_keys(text: str) -> str:
    """Linear in the text, however many beginnings and ends of keys are in it."""
    out: list[str] = []
    at = 0
    end = _KEY_ENDS.search(text)
    while begin := _KEY_BEGINS.search(text, at):
        while end is not None and end.start() < begin.end():
            end = _KEY_ENDS.search(text, end.end())
        if end is not None and end.end() - begin.start() <= LONGEST_KEY:
            last = end.end()
        elif cut := _KEY_OPEN.match(text, begin.end(), begin.start() + LONGEST_KEY):
            last = cut.end()
        else:
            out.append(text[at : begin.end()])
            at = begin.end()
            continue
        out += [text[at : begin.start()], "[secret]"]
        at = last
    return "".join([*out, text[at:]])


def _redact_value(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in line.items():
        if name.startswith("_"):
            continue
        if _SECRET_NAME.search(name):
            line[name] = "[secret]"
        elif isinstance(value, str):
            line[name] = redact(value)
    return line


_MANY_LINES = ("exception", "stack")


def _make_visible(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """What others wrote, in one line of text; tracebacks keep their lines, each set off."""
    for name, value in line.items():
        if not isinstance(value, str):
            continue
        if name in _MANY_LINES:
            line[name] = visible(value).replace("\n", "\n    ")
        else:
            line[name] = visible(value, kept="")
    return line


def _for_terminals(colors: bool) -> list[Any]:
    return [_make_visible, structlog.dev.ConsoleRenderer(colors=colors)]


class _Stderr(io.TextIOBase):
    """Standard error as it is at each line: a logger may outlive the one that it began with."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STDERR = _Stderr()


def _to_stderr(*_: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(cast(TextIO, _STDERR))


# Commands that configure nothing print their few lines, beside their output and not within it; what
# others wrote is as harmless in them.
structlog.configure(
    logger_factory=_to_stderr,
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
        structlog.dev.set_exc_info,
        structlog.processors.format_exc_info,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        _redact_value,
        *_for_terminals(colors=sys.stderr.isatty()),
    ],
)


class _Visible(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


if logging.lastResort is not None:
    # What libraries warn of in commands that configure nothing.
    logging.lastResort.setFormatter(_Visible())


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Send all log lines, the libraries' too, to standard error in one form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.EventRenamer("event"),
        _redact_value,
    ]
    renderers = (
        [structlog.processors.JSONRenderer()]
        if form == "json"
        else _for_terminals(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # The durable engine greets at length and at each call; its warnings are what matters here.
    for name in ("dbos", "uvicorn", "httpx", "httpcore", "urllib3", "docker", "git"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    durable = logging.getLogger("dbos")
    durable.handlers = [handler]  # otherwise it adds a console of its own
    durable.propagate = False


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
