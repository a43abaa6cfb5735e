"""`patchwright serve` as a process of its own, against a stand-in GitHub."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from app.cli.demo import free_port
from tests.doubles.github.server import GithubServer
from tests.support.github.app import api_version

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "operators-token"


class Service:
    """A service with its state folder; can be killed and started again."""

    def __init__(self, github: GithubServer, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(
            base_url=self.url,
            timeout=30,
            trust_env=False,
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        key, secret = folder / "app.pem", folder / "webhook-secret"
        key.write_text(github.private_key_pem)
        secret.write_text(github.webhook_secret)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
        self._environment = {
            **kept,
            "PATCHWRIGHT_STATE_DIR": str(folder / "state"),
            "PATCHWRIGHT_PORT": str(self.port),
            "PATCHWRIGHT_GITHUB_API_URL": github.url,
            "PATCHWRIGHT_GITHUB_API_VERSION": api_version(),
            "PATCHWRIGHT_GITHUB_WEB_URL": github.git_url,
            "PATCHWRIGHT_GITHUB_APP_ID": str(github.app_id),
            "PATCHWRIGHT_ONBOARDING": "false",
            "PATCHWRIGHT_GITHUB_PRIVATE_KEY_FILE": str(key),
            "PATCHWRIGHT_GITHUB_WEBHOOK_SECRET_FILE": str(secret),
            "PATCHWRIGHT_OPERATOR_TOKEN": TOKEN,
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def webhook_url(self) -> str:
        """Where GitHub delivers."""
        return f"{self.url}/webhooks/github"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_for(self._ready, 120, "the service to be ready")

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=120)
        self.http.close()

    def runs(self) -> list[str]:
        """Ids of all runs, newest first."""
        return re.findall(r'href="/runs/([a-z0-9]+)"', self.http.get("/runs").text)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """A run's whole journal."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else -1
            page = self.http.get(f"/runs/{run_id}/events", params={"after": after}).json()["events"]
            if not page:
                return found
            found += page

    def wait_for_end(self, run_id: str, seconds: float = 600) -> list[dict[str, Any]]:
        """The journal of a run once it has ended."""

        def ended() -> list[dict[str, Any]] | None:
            events = self.events(run_id)
            done = any(e["event"]["type"] == "run_ended" for e in events)
            return events if done else None

        return self.wait_for(ended, seconds, f"run {run_id} to end")

    def wait_for(self, look: Any, seconds: float, what: str) -> Any:
        """Poll until `look` gives something; a test that waits in vain shows the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                if found := look():
                    return found
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        log = (self.folder / "service.log").read_text()[-3000:]
        raise AssertionError(f"waited in vain for {what}:\n{log}")

    def _ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200
