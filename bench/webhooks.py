"""Deliveries to `serve`: time to acknowledge, none lost, none doubled; beside a floor.

Sends signed `issues.labeled` deliveries at a fixed rate, each for an issue of its own, one in
twenty a second time, whatever the answers do (an open loop: a slow answer does not slow the
sending, and time counts from when a delivery was due). Then counts the runs in the database. The
floor is a minimal FastAPI application that only verifies the signature, under the same load.
GitHub and the container engine are away, so that runs wait; what is measured is the way in.

    python bench/webhooks.py [--rate 200] [--seconds 60] [--goal 3]

Ends with status 1 when a delivery was lost, doubled or refused, or the ratio at p50 is over the
goal.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parent.parent
SECRET = "bench-webhook-secret"
REPOSITORIES = 50
AGAIN_EVERY = 20
WARM_UP_S = 3.0
IDLE_S = 2.0
"""A connection that was idle for longer is not used again; the servers close it at five."""

FLOOR = f"""
import hashlib, hmac, sys
import uvicorn
from fastapi import FastAPI, HTTPException, Request

app = FastAPI()

@app.post("/webhooks/github")
async def deliver(request: Request) -> dict[str, str]:
    body = await request.body()
    expected = "sha256=" + hmac.new({SECRET!r}.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", "")):
        raise HTTPException(401)
    return {{"result": "verified"}}

@app.get("/readyz")
async def ready() -> str:
    return "ready"

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request, ready to be sent."""

    id: str
    raw: bytes


@dataclass(slots=True)
class Outcome:
    """What a load did."""

    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cpu_s: float = 0.0


def deliveries(first: int, count: int, prefix: str) -> list[Delivery]:
    """Deliveries for `count` issues; every `AGAIN_EVERY`th comes twice with the same id."""
    made = []
    for number in range(first, first + count):
        made.append(_delivery(f"{prefix}-{number}", number))
        if number % AGAIN_EVERY == 0:
            made.append(made[-1])
    return made


def _delivery(identity: str, number: int) -> Delivery:
    repository = number % REPOSITORIES
    body = json.dumps(
        {
            "action": "labeled",
            "label": {"id": 1, "name": "patchwright", "color": "5319e7"},
            "issue": {
                "number": number + 1,
                "title": f"Total is wrong for empty carts, case {number}",
                "body": "It should be zero. " * 60,  # about what people write
                "state": "open",
                "user": {"login": "ann", "id": 7, "type": "User"},
                "labels": [{"name": "patchwright"}],
            },
            "repository": {
                "id": 1000 + repository,
                "full_name": f"acme/repository-{repository}",
                "default_branch": "main",
                "archived": False,
                "private": True,
            },
            "sender": {"login": "bob", "id": 8, "type": "User"},
            "installation": {"id": 99},
        }
    ).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        "POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"User-Agent: GitHub-Hookshot/bench\r\nX-GitHub-Event: issues\r\n"
        f"X-GitHub-Delivery: {identity}\r\nX-Hub-Signature-256: sha256={signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return Delivery(identity, head.encode() + body)


class Connections:
    """Connections that are kept open, as many as are needed at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, raw: bytes) -> int:
        """Send one request; gives the answer's status once the whole answer is there."""
        # The last used first, so that those which are not needed grow old: servers close them.
        while self._free and time.monotonic() - self._free[0][0] > IDLE_S:
            self._free.pop(0)[2].close()
        if self._free:
            _, reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        await reader.readexactly(length)
        self._free.append((time.monotonic(), reader, writer))
        return int(head.split()[1])

    def close(self) -> None:
        """Close them all."""
        for _, _, writer in self._free:
            writer.close()


async def load(port: int, made: list[Delivery], rate: float) -> Outcome:
    """Send the deliveries at this rate."""
    outcome = Outcome()
    connections = Connections(port)
    start = time.perf_counter() + 0.1

    async def one(delivery: Delivery, due: float) -> None:
        try:
            status = await connections.send(delivery.raw)
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        outcome.latencies_ms.append((time.perf_counter() - due) * 1000)
        outcome.statuses[status] += 1

    async with asyncio.TaskGroup() as group:
        for place, delivery in enumerate(made):
            due = start + place / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(delivery, due))
    connections.close()
    return outcome


@contextmanager
def server(command: list[str], environment: dict[str, str], log: Path) -> Iterator[tuple[int, int]]:
    """A server process on a free port; gives port and process id once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [word.replace("PORT", str(port)) for word in command],
            cwd=ROOT,
            env=environment | {"PATCHWRIGHT_PORT": str(port)},
            stdout=out,
            stderr=out,
        )
    try:
        for _ in range(600):
            if process.poll() is not None or _ready(port):
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"the server is not ready; see {log}")
        if process.poll() is not None:
            raise SystemExit(f"the server ended:\n{log.read_text()[-2000:]}")
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def measure(port: int, pid: int, rate: float, seconds: float) -> Outcome:
    """A warm-up, then the load that counts."""
    warm = deliveries(0, int(rate * WARM_UP_S), "warm")
    made = deliveries(len(warm), int(rate * seconds * AGAIN_EVERY / (AGAIN_EVERY + 1)), "load")
    asyncio.run(load(port, warm, rate))
    before = cpu_s(pid)
    outcome = asyncio.run(load(port, made, rate))
    outcome.cpu_s = cpu_s(pid) - before
    return outcome


def environment(folder: Path) -> dict[str, str]:
    """A whole configuration, with a GitHub and an engine that are away."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "PATCHWRIGHT_STATE_DIR": str(folder / "state"),
        "PATCHWRIGHT_GITHUB_API_URL": "http://127.0.0.1:1",
        "PATCHWRIGHT_GITHUB_APP_ID": "1",
        "PATCHWRIGHT_GITHUB_PRIVATE_KEY": key.decode(),
        "PATCHWRIGHT_GITHUB_WEBHOOK_SECRET": SECRET,
        "PATCHWRIGHT_DOCKER_URL": "unix:///nonexistent/docker.sock",
        "PATCHWRIGHT_LOG_LEVEL": "warning",
    }


def runs_in(folder: Path) -> tuple[int, int]:
    """How many runs there are, and for how many issues."""
    with closing(sqlite3.connect(folder / "state" / "patchwright.db")) as database:
        query = "select count(*), count(distinct repository || '#' || issue_number) from runs"
        runs, issues = database.execute(query).fetchone()
    return runs, issues


def quantile(values: list[float], part: float) -> float:
    """The value below which this part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def row(name: str, outcome: Outcome, seconds: float) -> str:
    """One line of the table."""
    values = outcome.latencies_ms
    p50, p99, worst = statistics.median(values), quantile(values, 0.99), max(values)
    answers = ", ".join(f"{n} x {status}" for status, n in sorted(outcome.statuses.items()))
    cpu = outcome.cpu_s / seconds * 100
    return f"| {name} | {p50:.2f} | {p99:.2f} | {worst:.1f} | {cpu:.0f} % | {answers} |"


def main() -> int:
    """Measure both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rate", type=float, default=200.0, help="deliveries a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--goal", type=float, default=3.0, help="largest ratio at p50")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="patchwright-bench-") as name:
        folder = Path(name)
        serve = [sys.executable, "-m", "app", "serve"]
        with server(serve, environment(folder), folder / "serve.log") as (port, pid):
            ours = measure(port, pid, asked.rate, asked.seconds)
        runs, issues = runs_in(folder)
        floor_command = [sys.executable, "-c", FLOOR, "PORT"]
        with server(floor_command, dict(os.environ), folder / "floor.log") as (port, pid):
            floor = measure(port, pid, asked.rate, asked.seconds)
    warm = int(asked.rate * WARM_UP_S)
    sent = warm + int(asked.rate * asked.seconds * AGAIN_EVERY / (AGAIN_EVERY + 1))
    ratio = statistics.median(ours.latencies_ms) / statistics.median(floor.latencies_ms)
    print(f"{asked.rate:g} deliveries a second for {asked.seconds:g} s")
    print("| server | p50 ms | p99 ms | longest ms | processor | answers |")
    print("|---|---|---|---|---|---|")
    print(row("patchwright serve", ours, asked.seconds))
    print(row("signature only", floor, asked.seconds))
    print(f"ratio at p50: {ratio:.2f} (goal: at most {asked.goal:g})")
    print(f"issues sent: {sent}; runs: {runs}, for {issues} issues")
    refused = sum(n for status, n in ours.statuses.items() if status not in (200, 202))
    wrong = runs != sent or issues != sent or refused > 0
    if wrong:
        print(f"WRONG: lost {sent - issues}, doubled {runs - issues}, refused {refused}")
    return 1 if wrong or ratio > asked.goal else 0


if __name__ == "__main__":
    sys.exit(main())
