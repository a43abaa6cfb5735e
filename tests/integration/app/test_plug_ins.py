"""Every example of `docs/plug-ins.md`, taken from the page and run."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.testing.suite import run_suite
from app.alerts import config as alerts_config
from app.intake.alerts import NotBelieved, accept_alerts
from app.notifications import config as notifications_config
from app.notifications.messages import message_of
from app.notifications.outgoing import trial_notice
from app.notifications.send import NotSent, send
from app.plugins import entry_points
from app.repo_config.parser import read_repo_config
from app.settings.base import SettingsError
from app.settings.schema import Settings
from app.storage.alerts import Alerts
from app.storage.store import SqlStore
from sandbox.environment import choose, compiled
from sandbox.environment.choose import EnvironmentSettings
from tests.doubles.local_sandbox import LocalSandbox
from tests.doubles.receivers import http_receiver

PAGE = (Path(__file__).parents[3] / "docs" / "plug-ins.md").read_text()
EXAMPLES = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.M | re.S))
SECRET = "pager-secret-1"


def test_the_examples_are_found() -> None:
    assert set(EXAMPLES) == {
        ".github/patchwright.yml",
        "tests/run.sh",
        "sandbox/environment/compiled.py",
        "pyproject.toml",
        "acme_patchwright/pager.py",
        "acme_patchwright/google_chat.py",
        "alerts.toml",
        "notifications.toml",
    }


async def test_a_runner_that_nobody_knows_tells_of_each_test() -> None:
    tree = {
        "tests/run.sh": EXAMPLES["tests/run.sh"],
        "tests/test_good.sh": "exit 0\n",
        "tests/test_bad.sh": "echo '1 < 2 & so on'; exit 1\n",
    }
    sandbox = LocalSandbox(tree)
    try:
        run = await run_suite(sandbox, "sh tests/run.sh")
        assert {result.name: result.outcome for result in run.results} == {
            "sh tests/run.sh": "failed",
            "tests/test_good.sh": "passed",
            "tests/test_bad.sh": "failed",
        }
        bad = next(result for result in run.results if result.name.endswith("bad.sh"))
        assert bad.message == "1 < 2 & so on"
        one = await run_suite(sandbox, "sh tests/run.sh", "tests/test_good.sh")
        assert {result.name: result.outcome for result in one.results} == {
            "sh tests/run.sh": "passed",
            "tests/test_good.sh": "passed",
        }
        assert await sandbox.diff() == "", "nothing is left in the tree"
    finally:
        await sandbox.close()


def test_the_repositorys_file_sets_a_language_up() -> None:
    read = read_repo_config(EXAMPLES[".github/patchwright.yml"].encode())
    assert read.problems == ()
    assert read.config.test_command == 'busted --output=junit > "$PATCHWRIGHT_JUNIT"'
    settings = EnvironmentSettings(setup=read.config.setup)
    (environment,) = choose.candidates((), {}, settings)
    assert environment.explicit
    assert "lua-busted" in environment.steps[-1].command and environment.steps[-1].root


def test_the_languages_function_fits_beside_the_others() -> None:
    there = dict(vars(compiled))
    exec(compile(EXAMPLES["sandbox/environment/compiled.py"], "example", "exec"), there)
    assert there["_lua"]({"main.c"}, ".") == []
    install, fetch = there["_lua"]({".busted", "shop-1.0.rockspec"}, "sub")
    assert install.root and "lua-busted" in install.command
    assert fetch.command.endswith("--deps-only shop-1.0.rockspec") and fetch.folder == "sub"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The documented package, installed as packages are."""
    folder = tmp_path_factory.mktemp("plug-in")
    (folder / "acme_patchwright").mkdir()
    (folder / "acme_patchwright" / "__init__.py").touch()
    for name in ("pyproject.toml", "acme_patchwright/pager.py", "acme_patchwright/google_chat.py"):
        (folder / name).write_text(EXAMPLES[name])
    there = folder / "installed"
    how = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(there)]
    subprocess.run([sys.executable, "-m", "pip", "install", *how, str(folder)], check=True)
    forget()
    sys.path.insert(0, str(there))
    yield
    sys.path.remove(str(there))
    forget()


def forget() -> None:
    entry_points._installed.cache_clear()
    entry_points.load_plugin.cache_clear()


def file_of(name: str, folder: Path, **values: str) -> Path:
    """An example's file, with this machine's paths."""
    text = EXAMPLES[name]
    for path, own in values.items():
        text = text.replace(f"/run/secrets/{path.replace('_', '-')}", own)
    file = folder / name
    file.write_text(text)
    return file


def test_a_kind_that_is_not_installed_is_named(tmp_path: Path) -> None:
    forget()
    for load, name in (
        (alerts_config.load, "alerts.toml"),
        (notifications_config.load, "notifications.toml"),
    ):
        with pytest.raises(SettingsError, match="no installed package has it"):
            load(file_of(name, tmp_path))


@pytest.mark.usefixtures("package")
def test_a_source_of_alerts_from_a_package(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    file = file_of("alerts.toml", tmp_path, pager=str(tmp_path / "secret"))
    settings = Settings(state_dir=tmp_path, alerts_file=file)
    store = SqlStore(settings.database)
    page = {
        "id": "p-17",
        "summary": "Total is wrong",
        "service": "shop-api",
        "stack": "Traceback (most recent call last):\n"
        '  File "/app/shop/cart.py", line 4, in total\nTypeError: x',
    }
    body = json.dumps(page).encode()
    signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    accept = settings, Alerts(store.database), "pager"
    with pytest.raises(NotBelieved, match="signature is wrong"):
        accept_alerts(*accept, {"x-pager-signature": "0" * 64}, body)
    headers = {"x-pager-signature": signed}
    assert accept_alerts(*accept, headers, body).result == "noted"
    (kept,) = Alerts(store.database).newest(limit=5)
    assert (kept.repository, kept.title) == ("acme/shop", "Total is wrong")


@pytest.mark.usefixtures("package")
def test_a_channel_from_a_package(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        (tmp_path / "url").write_text(receiver.url)
        file = file_of("notifications.toml", tmp_path, chat_url=str(tmp_path / "url"))
        file.write_text(file.read_text() + "internal = true\n")
        (channel,) = notifications_config.load(file).channel
        notice = trial_notice().model_copy(update={"title": "<users/all> look"})
        message = message_of(notice, channel, base_url="https://p.example", web_url="")
        asyncio.run(send(channel, notice, message))
        (came,) = receiver.received
        assert "‹users/all› look" in came.json["text"] and came.path == "/hooks/T0P-S3CRET"


@pytest.mark.usefixtures("package")
def test_a_plug_in_that_fails_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from acme_patchwright import google_chat, pager

    def broken(*_: object) -> str:
        raise RuntimeError("with a SECRET in it")

    monkeypatch.setattr(pager, "verify", broken)
    monkeypatch.setattr(google_chat, "body", broken)
    (tmp_path / "secret").write_text(SECRET)
    file = file_of("alerts.toml", tmp_path, pager=str(tmp_path / "secret"))
    settings = Settings(state_dir=tmp_path, alerts_file=file)
    database = SqlStore(settings.database).database
    with pytest.raises(NotBelieved, match="cannot tell"):
        accept_alerts(settings, Alerts(database), "pager", {}, b"{}")
    (tmp_path / "url").write_text("https://chat.example/x")
    file = file_of("notifications.toml", tmp_path, chat_url=str(tmp_path / "url"))
    (channel,) = notifications_config.load(file).channel
    message = message_of(trial_notice(), channel, base_url="https://p.example", web_url="")
    with pytest.raises(NotSent, match="plug-in for google-chat failed") as told:
        asyncio.run(send(channel, trial_notice(), message))
    assert "SECRET" not in str(told.value)
