"""Sign-in over real HTTP against a stand-in of GitHub's web flow, and what each person then sees.

The stand-in follows GitHub's "Generating a user access token for a GitHub App": a code is good for
one exchange, and a wrong one is answered with 200 and an `error`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from agent.journal.events import QuestionAsked, now
from agent.journal.store import Answer
from app.github.errors import ForgeAway
from app.github.records import Permission, Role
from app.queue import worker_registry
from app.settings.schema import Settings
from app.storage import audit
from app.storage.questions import Questions
from app.storage.store import SqlStore
from app.web import app as web_app
from app.web.app import Web, create_app
from app.web.auth import ended_sessions, github_sign_in, operator_token
from app.web.auth.github_sign_in import NOBODY, Account
from app.web.auth.visitors import Place, RoleSource, roles_from
from app.web.dashboard.context import Streams
from tests.support.runs.stored import trigger
from tests.support.serving import serving

SECRET = "client-secret-of-the-app"
OPERATOR = "operators-token"


@dataclass
class GithubWeb:
    """What GitHub knows of people."""

    codes: dict[str, str] = field(default_factory=dict)
    """Code → login."""
    roles: dict[tuple[str, str], str] = field(default_factory=dict)
    least: dict[str, Role] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    away: bool = False
    file_away: bool = False
    asked: int = 0

    async def required_role(self, place: Place) -> Role:
        """The least role for commands, as the repository's own file has it."""
        self.asked += 1
        if self.away or self.file_away:
            raise ForgeAway("x")
        return self.least.get(place.repository, "write")

    async def is_private(self, place: Place) -> bool:
        """Whether the repository is private."""
        return place.repository not in self.public

    async def permission(self, place: Place, account: Account) -> Permission:
        """As the forge tells it."""
        self.asked += 1
        if self.away:
            raise ForgeAway("x")
        everybody = "read" if place.repository in self.public else "none"
        role = self.roles.get((place.repository, account.login), everybody)
        return Permission(role, role)


def web_flow(github: GithubWeb) -> FastAPI:
    app = FastAPI()

    @app.post("/login/oauth/access_token")
    async def exchange(request: Request) -> Response:
        sent = parse_qs((await request.body()).decode())
        code = sent["code"][0]
        app_shown = (sent["client_id"][0], sent["client_secret"][0])
        if app_shown != ("Iv1.a", SECRET) or code not in github.codes:
            return JSONResponse({"error": "bad_verification_code"})
        return JSONResponse({"access_token": f"ghu_{github.codes.pop(code)}", "scope": ""})

    @app.get("/user")
    def user(request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ghu_")
        return JSONResponse({"login": token, "id": 7})

    return app


@pytest.fixture
def github() -> GithubWeb:
    return GithubWeb()


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{tmp_path / 'p.db'}")


@pytest.fixture
def settings(github: GithubWeb, tmp_path: Path) -> Iterator[Settings]:
    with serving(web_flow(github)) as flow:
        yield Settings(
            state_dir=tmp_path,
            operator_token=OPERATOR,
            github_api_url=flow,
            github_web_url=flow,
            github_client_id="Iv1.a",
            github_client_secret=SECRET,
        )


@pytest.fixture
def url(settings: Settings, store: SqlStore, github: GithubWeb) -> Iterator[str]:
    asking = RoleSource(github.permission, github.required_role, github.is_private)
    web = Web(settings, store, lambda _run: None, asking=asking)
    with serving(create_app(web)) as address:
        yield address


def visit(url: str, github: GithubWeb, login: str, to: str = "/runs") -> httpx.Client:
    """A browser in which somebody signed in."""
    browser = httpx.Client(base_url=url)
    begun = browser.get("/sign-in/github", params={"next": to})
    assert begun.status_code == 303
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert "/login/oauth/authorize" in begun.headers["location"]
    assert SECRET not in begun.headers["location"]
    github.codes["c0de"] = login
    done = browser.get("/sign-in/done", params={"code": "c0de", "state": asked["state"][0]})
    assert (done.status_code, done.headers["location"]) == (303, to)
    return browser


def start(store: SqlStore, repository: str, number: int) -> str:
    asked = trigger(number, repository, title=f"secret of {repository}")
    return store.accept(f"d{number}", "issues", asked, model="offline").run_id


def form_token(page: str) -> str:
    return page.split('name="form_token" value="')[1].split('"')[0]


def test_people_see_the_runs_of_repositories_that_they_can_read(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    mine, other = start(store, "octo/mine", 1), start(store, "octo/other", 2)
    github.roles["octo/mine", "ann"] = "read"
    browser = visit(url, github, "ann")
    for page in ("/runs", "/queue", "/statistics"):
        text = browser.get(page).text
        assert "octo/other" not in text, page
    assert "octo/mine" in browser.get("/runs").text
    assert browser.get(f"/runs/{mine}").status_code == 200
    hidden = browser.get(f"/runs/{other}")
    assert hidden.status_code == browser.get("/runs/none").status_code == 404
    for part in ("events", "stream", "compare", "logs/x"):
        assert browser.get(f"/runs/{other}/{part}").status_code == 404
    searched = browser.get("/runs", params={"search": "secret of octo/other"}).text
    assert f"/runs/{other}" not in searched


def test_runs_of_a_private_time_wait_for_a_decision_once_everybody_may_read(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    before = store.accept("d1", "issues", trigger(1, "octo/mine", private=True), model="").run_id
    github.roles |= {("octo/mine", "bob"): "read", ("octo/mine", "ann"): "admin"}
    bob, ann = visit(url, github, "bob"), visit(url, github, "ann")
    assert bob.get(f"/runs/{before}").status_code == 200
    assert "Decide" not in ann.get(f"/runs/{before}").text
    github.public.add("octo/mine")
    after = store.accept("d2", "issues", trigger(2, "octo/mine", private=False), model="").run_id
    stranger = visit(url, github, "eve")
    assert stranger.get(f"/runs/{after}").status_code == 200
    assert stranger.get(f"/runs/{before}").status_code == 404
    listed = stranger.get("/runs").text
    assert after in listed
    assert before not in listed
    page = ann.get(f"/runs/{before}").text
    assert "Decide who sees this" in page
    sent = {"form_token": github_sign_in.sign(SECRET, "form eve")}
    assert stranger.post(f"/runs/{after}/open", data=sent).status_code == 403
    assert ann.post(f"/runs/{before}/open", data={"form_token": form_token(page)}).is_redirect
    assert stranger.get(f"/runs/{before}").status_code == 200


def test_a_namesake_shows_nothing_of_the_repository_before(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    old = start(store, "octo/mine", 1)
    fresh = trigger(1, "octo/mine", repository_id=6)
    new = store.accept("d2", "issues", fresh, model="").run_id
    github.roles["octo/mine", "ann"] = "admin"  # of the repository that has the name now
    ann = visit(url, github, "ann")
    assert ann.get(f"/runs/{new}").status_code == 200
    assert ann.get(f"/runs/{old}").status_code == 404
    assert old not in ann.get("/runs").text


def test_readers_look_and_those_who_may_give_commands_steer(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    run_id = start(store, "octo/mine", 1)
    github.roles["octo/mine", "reader"] = "read"
    github.roles["octo/mine", "ann"] = "write"
    reader, writer = visit(url, github, "reader"), visit(url, github, "ann")
    page = reader.get(f"/runs/{run_id}").text
    assert "Steer" not in page
    token = form_token(writer.get(f"/runs/{run_id}").text)
    hint = {"form_token": token, "text": "look left"}
    # The token of another's page is worth nothing.
    assert reader.post(f"/runs/{run_id}/hint", data=hint).status_code == 403
    assert store.hints(run_id) == []
    assert writer.post(f"/runs/{run_id}/hint", data=hint).status_code == 303
    assert [h.author for h in store.hints(run_id)] == ["ann"]
    assert any(e.actor == "ann" and e.action == "hint" for e in audit.entries(store.database))


def test_steering_needs_the_role_that_the_repository_asks_of_commands(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    run_id = start(store, "octo/mine", 1)
    github.least["octo/mine"] = "admin"
    for role in ("triage", "maintain", "admin"):
        github.roles["octo/mine", role] = role
        browser = visit(url, github, role)
        page = browser.get(f"/runs/{run_id}")
        assert page.status_code == 200
        assert ("Steer" in page.text) is (role == "admin"), role
        for verb in ("hint", "stop", "retry"):
            token = github_sign_in.sign(SECRET, f"form {role}")
            sent = browser.post(
                f"/runs/{run_id}/{verb}", data={"form_token": token, "text": "look left"}
            )
            assert (sent.status_code == 403) is (role != "admin"), (role, verb)


async def test_the_needed_role_is_read_from_the_repositorys_own_file() -> None:
    class Repository:
        name = "octo/mine"
        closed = 0

        async def file(self, _path: str, *, repository: str = "") -> bytes | None:
            return None if repository else b"permissions: {command: admin}\n"

        async def close(self) -> None:
            self.closed += 1

    at: Any = Repository()
    asking = roles_from(Settings(label_permission="triage"), lambda *_place: at)
    assert await asking.required_role(Place(1, "octo/mine", 5)) == "admin"
    assert at.closed == 1


def test_nobody_steers_while_githubs_word_on_the_needed_role_is_missing(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    run_id = start(store, "octo/mine", 1)
    github.roles["octo/mine", "ann"] = "admin"
    browser = visit(url, github, "ann")
    github.file_away = True
    page = browser.get(f"/runs/{run_id}")
    assert page.status_code == 200 and "Steer" not in page.text
    github.file_away = False
    assert "Steer" in browser.get(f"/runs/{run_id}").text
    asked = github.asked
    assert "Steer" in browser.get(f"/runs/{run_id}").text
    assert github.asked == asked


def test_roles_are_believed_for_a_while_and_nothing_is_shown_when_github_is_away(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    run_id = start(store, "octo/mine", 1)
    github.roles["octo/mine", "ann"] = "read"
    browser = visit(url, github, "ann")
    github.away = True
    assert browser.get(f"/runs/{run_id}").status_code == 404
    github.away = False
    assert browser.get(f"/runs/{run_id}").status_code == 200
    asked = github.asked
    assert browser.get(f"/runs/{run_id}").status_code == 200
    assert github.asked == asked


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil", "runs"])
def test_sign_in_leads_to_pages_of_ours_only(url: str, github: GithubWeb, target: str) -> None:
    browser = httpx.Client(base_url=url)
    begun = browser.get("/sign-in/github", params={"next": target})
    state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
    github.codes["c"] = "ann"
    done = browser.get("/sign-in/done", params={"code": "c", "state": state})
    assert done.headers["location"] == "/runs"
    assert target not in browser.get("/sign-in", params={"next": target}).text or target == "runs"


def test_a_sign_in_that_this_browser_did_not_begin_is_refused(url: str, github: GithubWeb) -> None:
    browser = httpx.Client(base_url=url)
    github.codes["c"] = "attacker"
    assert browser.get("/sign-in/done?code=c&state=").status_code == 400
    assert browser.get("/sign-in/done?code=c&state=x").status_code == 400
    begun = browser.get("/sign-in/github")
    state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
    assert browser.get(f"/sign-in/done?code=c&state={state}x").status_code == 400
    assert browser.get(f"/sign-in/done?code=wrong&state={state}").status_code == 403
    assert browser.get(f"/sign-in/done?state={state}").status_code == 403
    assert browser.get("/runs").status_code == 401
    assert github_sign_in.SESSION not in browser.cookies


def test_a_name_that_is_no_login_is_refused(url: str, github: GithubWeb) -> None:
    browser = httpx.Client(base_url=url)
    state = parse_qs(urlsplit(browser.get("/sign-in/github").headers["location"]).query)["state"]
    github.codes["c"] = "ann|9999999999"
    done = browser.get("/sign-in/done", params={"code": "c", "state": state[0]})
    assert done.status_code == 502
    assert github_sign_in.SESSION not in browser.cookies


def test_sessions_end_and_cannot_be_made_up(settings: Settings) -> None:
    ann = Account("ann", 7)
    cookie = github_sign_in.session_cookie(settings, ann, now=1000)
    end = 1000 + github_sign_in.SESSION_S
    assert github_sign_in.account_of_cookie(settings, cookie, now=end - 1) == ann
    assert github_sign_in.account_of_cookie(settings, cookie, now=end) == NOBODY
    login, until, own, account_id, proof = cookie.split("|")
    for made_up in (
        f"bob|{until}|{own}|{account_id}|{proof}",
        f"ann|{int(until) + 1}|{own}|{account_id}|{proof}",
        f"ann|{until}|{own}0|{account_id}|{proof}",
        f"ann|{until}|{own}|8|{proof}",
        f"ann|{until}|{own}|{account_id}|",
        "ann",
        "",
        cookie + "0",
    ):
        assert github_sign_in.account_of_cookie(settings, made_up, now=1001) == NOBODY
    assert login == "ann"
    # A cookie of an earlier version has no id, and is good until its end.
    text = f"ann|{until}"
    earlier = f"{text}|{github_sign_in.sign(SECRET, f'session {text}')}"
    assert github_sign_in.account_of_cookie(settings, earlier, now=1001) == Account("ann")


def test_the_operator_signs_in_with_the_token_and_out(url: str, store: SqlStore) -> None:
    start(store, "octo/mine", 1)
    browser = httpx.Client(base_url=url)
    wrong = browser.post("/sign-in", data={"token": "guess", "next": "/queue"})
    assert wrong.status_code == 401 and OPERATOR not in wrong.text
    assert browser.get("/runs").status_code == 401
    right = browser.post("/sign-in", data={"token": OPERATOR, "next": "/queue"})
    assert (right.status_code, right.headers["location"]) == (303, "/queue")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and OPERATOR not in cookie
    assert "octo/mine" in browser.get("/runs").text
    assert browser.post("/sign-out").status_code == 303
    assert browser.get("/runs").status_code == 401


def test_a_copied_cookie_is_worth_nothing_after_sign_out(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    operator, other = httpx.Client(base_url=url), visit(url, github, "ann")
    operator.post("/sign-in", data={"token": OPERATOR})
    person = visit(url, github, "ann")
    for browser in (person, operator):
        copied = httpx.Client(base_url=url, cookies=dict(browser.cookies))
        assert copied.get("/runs").status_code == 200
        assert browser.post("/sign-out").status_code == 303
        assert copied.get("/runs").status_code == 401
        assert copied.get("/setup").status_code == 401
    # Another session of the same person goes on, and the log tells no cookie.
    assert other.get("/runs").status_code == 200
    kept = audit.entries(store.database)
    assert [(e.actor, e.action) for e in kept] == [("operator", "sign-out"), ("ann", "sign-out")]
    assert not any(cookie in e.subject for e in kept for cookie in other.cookies.values())


def test_an_operators_session_ends_and_cannot_be_made_up() -> None:
    cookie = operator_token.session_cookie(OPERATOR, now=1000)
    end = 1000 + ended_sessions.LONGEST_S
    assert operator_token.proves_token(cookie, OPERATOR, end - 1)
    assert not operator_token.proves_token(cookie, OPERATOR, end)
    until, own, proof = cookie.split("|")
    for made_up in (f"{int(until) + 1}|{own}|{proof}", f"{until}|{own}0|{proof}", proof, "|", ""):
        assert not operator_token.proves_token(made_up, OPERATOR, 1001)
    assert not operator_token.proves_token(cookie, "another", 1001)


def test_strangers_learn_no_names_of_machines(url: str, github: GithubWeb, store: SqlStore) -> None:
    worker_registry.register(store.database, "build-07.internal.example")
    start(store, "octo/open", 1)
    github.roles["octo/open", "reader"] = "read"
    for login in ("stranger", "reader"):
        page = visit(url, github, login).get(f"{url}/queue")
        assert page.status_code == 200 and "build-07" not in page.text
    operator = {"Authorization": f"Bearer {OPERATOR}"}
    assert "build-07.internal.example" in httpx.get(f"{url}/queue", headers=operator).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_site_signs_nobody_out(
    url: str, github: GithubWeb, headers: dict[str, str]
) -> None:
    person = visit(url, github, "reader")
    assert person.post(f"{url}/sign-out", headers=headers).status_code == 403
    assert person.get(f"{url}/queue").status_code == 200
    assert person.post(f"{url}/sign-out").status_code == 303


def test_one_visitor_does_not_get_all_streams() -> None:
    streams = Streams()
    with ExitStack() as held:
        while streams.may_open("reader"):
            held.enter_context(streams.open("reader"))
        assert streams.may_open("other") and streams.may_open("")
    assert streams.may_open("reader")


def test_many_accounts_leave_streams_to_the_operator() -> None:
    streams = Streams()
    with ExitStack() as held:
        for number in range(40):
            while streams.may_open(f"account-{number}"):
                held.enter_context(streams.open(f"account-{number}"))
        assert streams.may_open("")


def test_a_full_disk_is_not_ready(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert httpx.get(f"{url}/readyz").status_code == 200
    monkeypatch.setattr(web_app, "LEAST_FREE", 2**62)
    assert httpx.get(f"{url}/readyz").status_code == 503


def test_those_who_may_give_commands_answer_a_question_and_the_first_counts(
    url: str, store: SqlStore, github: GithubWeb
) -> None:
    run_id = start(store, "octo/mine", 1)
    asked = QuestionAsked(
        number=1,
        call_id="c1",
        question="<img src=x onerror=alert(1)> Which?\u202e",
        options=("<b>this</b>", "that"),
        default=2,
        due=now() + timedelta(days=1),
    )
    lease = store.claim(run_id, "w")
    questions = Questions(store.database)
    questions.put(run_id, store.get_run(run_id).repository_id, 1, asked)
    lease.wait_for_answer(run_id, asked)
    github.roles |= {("octo/mine", "reader"): "read", ("octo/mine", "ann"): "write"}
    reader, writer = visit(url, github, "reader"), visit(url, github, "ann")
    shown = reader.get(f"/runs/{run_id}").text
    assert "&lt;img" in shown and "<img" not in shown and "\u202e" not in shown
    assert "&lt;b&gt;this&lt;/b&gt;" in shown
    assert f"/runs/{run_id}/answer" not in shown
    assert f'action="/runs/{run_id}/answer"' in writer.get(f"/runs/{run_id}").text
    assert "Waiting for an answer" in writer.get("/queue").text
    token = form_token(writer.get(f"/runs/{run_id}").text)
    sent = {"form_token": token, "question": "1", "option": "1", "text": " as documented "}

    def post(who: httpx.Client, **changed: str) -> int:
        return who.post(f"/runs/{run_id}/answer", data={**sent, **changed}).status_code

    assert post(reader) == 403
    assert post(writer, form_token="x") == 403
    assert post(writer, question="2") == 409, "of an older page"
    assert post(writer, option="0") == 422
    assert post(writer, option="3") == 422
    assert post(writer, option="²") == 422
    assert post(writer, text="x" * 4001) == 422
    assert store.answer(run_id, asked) is None
    assert post(writer) == 303
    assert store.answer(run_id, asked) == Answer(option=1, author="ann", text="as documented")
    assert store.get_run(run_id).status == "queued"
    assert post(writer, option="2") == 409
    assert "Chosen by <bdi>ann</bdi>" in reader.get(f"/runs/{run_id}").text
    assert any(e.actor == "ann" and e.action == "answer" for e in audit.entries(store.database))
