"""Notifications to real receivers: down, slow, full of errors; and workers that die sending."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.journal.events import QuestionAsked, RunEnded
from app.cli.doctor import check_host
from app.github import webhooks
from app.notifications import send
from app.notifications.command import send_tests
from app.notifications.outgoing import send_due
from app.settings.base import SettingsError
from app.settings.schema import Settings
from app.storage import notices as storage
from app.storage.controls import add_usage
from app.storage.notices import Notices, note_over_budget
from app.storage.questions import Questions
from app.storage.run_rows import dialect_insert
from app.storage.store import SqlStore
from tests.doubles.receivers import HttpReceiver, http_receiver, mail_server
from tests.support.github.payloads import encoded, labeled

SECRET = "s3cret-of-the-channel"


class World:
    """A service with channels, a run, and a clock."""

    def __init__(
        self, folder: Path, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self.receiver = folder, receiver
        (folder / "secret").write_text(SECRET)
        (folder / "url").write_text(receiver.url)
        self.file = folder / "notifications.toml"
        self.channels(self.channel("team", "slack"))
        self.settings = Settings(state_dir=folder, notifications_file=self.file)
        self.store = SqlStore(self.settings.database)
        self.ahead = timedelta()
        real = storage.now
        monkeypatch.setattr(storage, "now", lambda: real() + self.ahead)

    def channel(self, name: str, kind: str, more: str = "internal = true") -> str:
        secret = f'secret_file = "{self.folder}/secret"' if kind in ("webhook", "matrix") else ""
        return (
            f'[[channel]]\nname = "{name}"\nkind = "{kind}"\nurl_file = "{self.folder}/url"\n'
            f"{secret}\n{more}\n"
        )

    def channels(self, *parts: str) -> None:
        self.file.write_text("\n".join(parts))

    def queued(self, delivery: str = "d1", **more: Any) -> str:
        found = webhooks.parse("issues", encoded(labeled()))
        assert isinstance(found, webhooks.Trigger)
        trigger = found.model_copy(update=more)
        accepted = self.store.accept(delivery, "issues", trigger, model="m")
        return accepted.run_id

    def ended(self, run_id: str, outcome: str = "proven", **more: Any) -> None:
        view = self.store.claim(run_id, "w")
        view.finish(run_id, RunEnded.model_validate({"outcome": outcome} | more))

    async def sends(self) -> int:
        return await send_due(self.settings, self.store.database)

    def states(self, notice: str) -> dict[str, str]:
        return Notices(self.store.database).states(notice)

    def texts(self) -> list[str]:
        return [each.json["text"] for each in self.receiver.received]


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, receiver, monkeypatch)


async def test_a_run_is_told_when_queued_and_when_over(world: World) -> None:
    run = world.queued()
    world.queued()  # the same delivery again
    assert await world.sends() == 1
    world.ended(run, pull_request="https://github.com/octo/calc/pull/8", diagnosis="def f(): x")
    assert await world.sends() == 1
    assert await world.sends() == 0
    first, second = world.texts()
    assert "queued" in first and "proven" in second
    assert "pull/8" in second and "def f" not in second


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("draft", "draft"), ("diagnosis", "needs you"), ("failed", "failed"), ("stopped", "")],
)
async def test_each_end(world: World, outcome: str, word: str) -> None:
    world.ended(world.queued(), outcome)
    await world.sends()
    assert len(world.texts()) == (2 if word else 1)
    assert word in world.texts()[-1]


async def test_a_question(world: World) -> None:
    run = world.queued()
    asked = QuestionAsked(
        call_id="c", number=1, question="Which?", options=("a", "b"), default=1, due=storage.now()
    )
    for _ in range(2):  # again after a crash
        Questions(world.store.database).put(run, 1, 7, asked)
    await world.sends()
    assert ["needs you" in text for text in world.texts()] == [False, True]


async def test_the_days_budget_once_a_day(world: World) -> None:
    insert = dialect_insert(world.store.database)
    add_usage(world.store.database, 1000)
    for _ in range(3):
        note_over_budget(world.store.database, insert, 500)
    await world.sends()
    [text] = world.texts()
    assert "budget" in text and "500 tokens" in text
    world.ahead = timedelta(days=1)
    note_over_budget(world.store.database, insert, 500)
    await world.sends()
    assert len(world.texts()) == 2


async def test_a_signed_webhook(world: World) -> None:
    world.channels(world.channel("hook", "webhook"))
    run = world.queued()
    await world.sends()
    [came] = world.receiver.received
    at = came.headers["x-patchwright-timestamp"]
    expected = hmac.new(SECRET.encode(), at.encode() + b"." + came.body, hashlib.sha256)
    assert came.headers["x-patchwright-signature"] == f"sha256={expected.hexdigest()}"
    assert came.headers["x-patchwright-delivery"] == f"{run}-1-queued"
    told = came.json
    assert (told["event"], told["run"], told["version"], told["words"]) == ("queued", run, 1, "")


async def test_matrix_is_told_under_a_transaction(world: World) -> None:
    world.channels(world.channel("room", "matrix", 'room = "!a:b.example"\ninternal = true'))
    run = world.queued()
    await world.sends()
    [came] = world.receiver.received
    assert (came.method, came.headers["authorization"]) == ("PUT", f"Bearer {SECRET}")
    assert came.path.endswith(f"/rooms/%21a%3Ab.example/send/m.room.message/{run}-1-queued")


async def test_mail(world: World) -> None:
    with mail_server() as mails:
        mail = (
            '[[channel]]\nname = "post"\nkind = "email"\nserver = "127.0.0.1"\n'
            f'port = {mails.port}\nsecurity = "none"\ninternal = true\n'
            'sender = "pw@acme.example"\nto = ["ann@acme.example", "bob@acme.example"]\n'
        )
        world.channels(mail)
        run = world.queued()
        mails.refuse = "450 not now"
        assert await world.sends() == 0
        assert world.states(f"{run}-1-queued") == {"post": "due"}
        mails.refuse = ""
        world.ahead = timedelta(minutes=1)
        assert await world.sends() == 1
        [text] = mails.mails
        assert "To: ann@acme.example, bob@acme.example" in text
        mails.refuse = "550 no"
        world.ended(run)
        await world.sends()
        assert world.states(f"{run}-1-proven") == {"post": "given up"}
        mails.refuse = ""
        world.channels(mail.replace("internal = true\n", ""))
        other = world.queued("d2", issue_number=8)
        assert await world.sends() == 0, "its server is on this machine"
        assert world.states(f"{other}-1-queued") == {"post": "given up"}
        assert len(mails.mails) == 1


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_a_receiver_with_errors_is_tried_again(world: World, status: int) -> None:
    world.receiver.answers = [(status, {"Retry-After": "120"} if status == 429 else {})]
    run = world.queued()
    assert await world.sends() == 0
    assert await world.sends() == 0  # not at once
    world.ahead = timedelta(seconds=60)
    assert await world.sends() == (status != 429)
    world.ahead = timedelta(seconds=200)
    await world.sends()
    assert len(world.receiver.received) == 2
    assert world.states(f"{run}-1-queued") == {"team": "sent"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refusal_is_final(world: World, status: int) -> None:
    world.receiver.answers = [(status, {})]
    run = world.queued()
    await world.sends()
    world.ahead = timedelta(hours=5)
    await world.sends()
    assert len(world.receiver.received) == 1
    assert world.states(f"{run}-1-queued") == {"team": "given up"}


async def test_a_receiver_that_is_down_for_a_day_is_given_up(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "url").write_text("http://127.0.0.1:9/hooks/T0P-S3CRET")
    run = world.queued()
    for hour in range(30):
        world.ahead = timedelta(hours=hour)
        await world.sends()
    assert world.states(f"{run}-1-queued") == {"team": "given up"}
    printed = capfd.readouterr()
    assert "not taken" in printed.out + printed.err
    assert "T0P" not in printed.out + printed.err


async def test_a_slow_receiver_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "TIMEOUT_S", 4)
    with http_receiver() as quick:
        world.channels(
            world.channel("slow", "slack"),
            f'[[channel]]\nname = "quick"\nkind = "slack"\nurl = "{quick.url}"\ninternal = true\n',
        )
        world.receiver.open.clear()
        run = world.queued()
        assert await world.sends() == 1
        assert world.states(f"{run}-1-queued") == {"slow": "due", "quick": "sent"}
        world.receiver.open.set()


async def test_a_redirect_is_not_followed(world: World) -> None:
    with http_receiver() as other:
        world.receiver.answers = [(307, {"Location": other.url})]
        run = world.queued()
        await world.sends()
        assert other.received == []
        assert world.states(f"{run}-1-queued") == {"team": "given up"}


async def test_internal_addresses_only_if_meant(world: World) -> None:
    (world.folder / "url").write_text(world.receiver.url.replace("http:", "https:"))
    (world.folder / "url2").write_text("https://localhost:9/x")
    second = world.channel("by-name", "slack", "").replace("/url", "/url2")
    world.channels(world.channel("by-number", "slack", ""), second)
    run = world.queued()
    await world.sends()
    assert world.receiver.received == []
    states = world.states(f"{run}-1-queued")
    assert states == {"by-number": "given up", "by-name": "given up"}


class Died(BaseException):
    """The process is gone."""


async def test_who_dies_after_sending_sends_again_under_the_same_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.channels(world.channel("hook", "webhook"))
    run = world.queued()

    def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Notices, "sent", dies)
        with pytest.raises(BaseException) as caught:
            await world.sends()
        assert isinstance(caught.value, Died | BaseExceptionGroup)
    assert await world.sends() == 0  # it may still be at it
    world.ahead = timedelta(minutes=3)
    assert await world.sends() == 1
    ids = [each.headers["x-patchwright-delivery"] for each in world.receiver.received]
    assert ids == [f"{run}-1-queued"] * 2
    assert await world.sends() == 0


async def test_two_workers_send_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        world.queued(f"d{number}", issue_number=number + 1)
    await asyncio.gather(*(world.sends() for _ in range(4)))
    assert len(world.texts()) == 5


async def test_a_channel_that_comes_later_hears_nothing_old(world: World) -> None:
    world.channels()
    world.queued()
    await world.sends()
    world.channels(world.channel("team", "slack"))
    assert await world.sends() == 0
    world.file.write_text("nonsense")
    world.queued("d2", issue_number=9)
    assert await world.sends() == 0  # the mistake is logged
    world.channels(world.channel("team", "slack"))
    assert await world.sends() == 1
    world.ahead = timedelta(days=2)
    assert await world.sends() == 0


async def test_the_command_and_doctor(world: World) -> None:
    out = Console(width=200, record=True)
    assert await send_tests(world.settings, "", out)
    assert "This is a test" in world.texts()[0]
    world.receiver.answers = [(403, {})]
    assert not await send_tests(world.settings, "team", out)
    assert "team: sent" in out.export_text(clear=False)
    assert "answered 403" in out.export_text()
    with pytest.raises(SettingsError):
        await send_tests(world.settings, "other", out)
    found = {each.name: each for each in await check_host(world.settings)}
    assert found["notifications"].ok
    (world.folder / "url").unlink()
    found = {each.name: each for each in await check_host(world.settings)}
    assert not found["notifications"].ok
