"""Set-up over real HTTP against the stand-in GitHub: the whole way, and each way to go wrong."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.github.webhooks import EVENTS
from app.settings import credentials
from app.settings.credentials import AppIdentity
from app.settings.loading import with_stored_app
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from app.web.auth import github_sign_in
from app.web.setup.manifest import PERMISSIONS, AppChoices, check_choices, form_address, manifest
from app.web.setup.routes import MOST_STATES, States
from app.web.setup.server import setup_app
from tests.doubles.github.fixtures import github_server
from tests.doubles.github.server import EVENTS as DOUBLE_EVENTS
from tests.doubles.github.server import PERMISSIONS as DOUBLE_PERMISSIONS
from tests.doubles.github.server import GithubServer
from tests.support.serving import serving

__all__ = ["github_server"]

TOKEN = "operators-token"
OPERATOR = {"Accept": "text/html", "Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def settings_for(github: GithubServer, folder: Path, **more: Any) -> Settings:
    return Settings(
        state_dir=folder / "state",
        github_api_url=github.url,
        github_web_url=github.git_url,
        **{"operator_token": TOKEN} | more,
    )


@contextmanager
def set_up_mode(settings: Settings, done: list[AppIdentity]) -> Iterator[httpx.Client]:
    with (
        serving(setup_app(settings, done.append)) as url,
        httpx.Client(base_url=url, headers=OPERATOR, trust_env=False) as http,
    ):
        yield http


def review(http: httpx.Client, **fields: str) -> httpx.Response:
    choices = {"name": "Fixer", "organisation": "", "public_url": str(http.base_url)}
    return http.get("/setup/review", params=choices | fields)


def at_github(page: httpx.Response) -> str:
    """As the browser does it: sends GitHub's form, is sent back; gives the way back."""
    action = html.unescape(re.search(r'action="([^"]+apps/new[^"]*)"', page.text)[1])  # type: ignore[index]
    sent = re.search(r'name="manifest" value="([^"]+)"', page.text)
    assert sent
    agreed = httpx.post(action, data={"manifest": html.unescape(sent[1])}, trust_env=False)
    assert agreed.status_code == 302
    return agreed.headers["location"]


def test_the_whole_way(github_server: GithubServer, tmp_path: Path) -> None:
    settings = settings_for(github_server, tmp_path)
    done: list[AppIdentity] = []
    with set_up_mode(settings, done) as http:
        assert http.get("/healthz").text == "ok\n"
        assert http.get("/readyz").status_code == 503
        assert http.get("/").headers["location"] == "/setup"
        assert "read and write" in http.get("/setup").text
        page = review(http)
        cookie = page.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert (
            f"form-action 'self' {github_server.git_url};"
            in (page.headers["content-security-policy"])
        )
        back = at_github(page)
        answer = http.get(back)
        assert answer.status_code == 200
        assert "The App is set up" in answer.text
        assert github_server.webhook_secret not in answer.text
        # The same way back counts once.
        assert http.get(back).status_code == 403
    assert [app.id for app in done] == [github_server.app_id]
    taken_up = with_stored_app(settings)
    assert taken_up.github_app_id == github_server.app_id
    assert taken_up.secret("github_private_key") == github_server.private_key_pem.strip()
    assert taken_up.secret("github_webhook_secret") == github_server.webhook_secret
    assert (settings.state_dir / "github-app.pem").stat().st_mode & 0o777 == 0o600
    assert github_sign_in.sign_in_configured(taken_up)
    assert taken_up.github_client_secret_file == settings.state_dir / "github-client-secret"
    assert (settings.state_dir / "github-client-secret").stat().st_mode & 0o777 == 0o600


def test_secrets_go_to_the_files_that_the_settings_name(
    github_server: GithubServer, tmp_path: Path
) -> None:
    key, secret = tmp_path / "keys" / "a.pem", tmp_path / "keys" / "hook"
    settings = settings_for(
        github_server, tmp_path, github_private_key_file=key, github_webhook_secret_file=secret
    )
    with set_up_mode(settings, []) as http:
        assert http.get(at_github(review(http))).status_code == 200
    assert key.read_text().strip() == github_server.private_key_pem.strip()
    assert secret.read_text().strip() == github_server.webhook_secret
    assert {p.stat().st_mode & 0o777 for p in (key, secret)} == {0o600}
    assert not (settings.state_dir / "github-app.pem").exists()


def test_only_the_browser_that_set_out_may_come_back(
    github_server: GithubServer, tmp_path: Path
) -> None:
    with set_up_mode(settings_for(github_server, tmp_path), []) as http:
        back = at_github(review(http))
        # Somebody sends the operator a link with a code of his own App.
        assert httpx.get(back, headers=OPERATOR, trust_env=False).status_code == 403
        http.cookies.set("patchwright_setup", "guess", path="/setup")
        forged = http.get("/setup/callback", params={"code": "abc", "state": "guess"})
        assert forged.status_code == 403
        assert "not started in this browser" in forged.text
    assert credentials.load_identity(tmp_path / "state") is None


def test_a_code_that_github_does_not_know(github_server: GithubServer, tmp_path: Path) -> None:
    with set_up_mode(settings_for(github_server, tmp_path), done := []) as http:
        back = httpx.URL(at_github(review(http)))
        wrong = http.get(back.copy_set_param("code", "unknown"))
        assert wrong.status_code == 502
        assert "older than an hour" in wrong.text
        malformed = httpx.URL(at_github(review(http))).copy_set_param("code", "../x")
        assert http.get(malformed).status_code == 502
    assert done == []
    assert credentials.load_identity(tmp_path / "state") is None


def test_what_cannot_be_kept_is_found_out_before_the_exchange(
    github_server: GithubServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    settings = settings_for(
        github_server, tmp_path, github_private_key_file=tmp_path / "file" / "a.pem"
    )
    with set_up_mode(settings, []) as http:
        answer = http.get(back := at_github(review(http)))
    assert answer.status_code == 502
    assert "cannot be written" in answer.text
    # The code is still good: nothing was lost.
    code = httpx.URL(back).params["code"]
    assert code in github_server.world_state.manifests


def test_github_away(tmp_path: Path, github_server: GithubServer) -> None:
    settings = settings_for(github_server, tmp_path).model_copy(
        update={"github_api_url": "http://127.0.0.1:1/api/v3"}
    )
    with set_up_mode(settings, []) as http:
        answer = http.get(at_github(review(http)))
    assert answer.status_code == 502
    assert "cannot be reached (ConnectError)" in answer.text


def test_a_wrong_choice_is_reported_in_the_form(
    github_server: GithubServer, tmp_path: Path
) -> None:
    with set_up_mode(settings_for(github_server, tmp_path), []) as http:
        page = review(http, name="<b>" * 20, organisation="a/b", public_url="ftp://x")
    assert page.status_code == 422
    for sentence in ("1 to 34 characters", "not a GitHub login", "must look like https://"):
        assert sentence in page.text
    assert "<b>" not in page.text


@contextmanager
def normal_mode(settings: Settings) -> Iterator[httpx.Client]:
    store = SqlStore(settings.database)
    app = create_app(Web(settings, store, lambda _run_id: None))
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as http:
        yield http


def test_once_there_is_an_app_only_the_operators_token_opens_it(
    github_server: GithubServer, tmp_path: Path
) -> None:
    with normal_mode(settings_for(github_server, tmp_path)) as http:
        assert http.get("/setup").status_code == 401
        assert review(http).status_code == 401
        moved = http.get("/setup", params={"token": TOKEN})
        assert (moved.status_code, moved.headers["location"]) == (303, "/setup")
        page = http.get("/setup")
        assert page.status_code == 200
        assert "An App is already set up" in page.text
        assert http.get(at_github(review(http))).status_code == 200


def test_no_request_is_the_operators_by_where_it_comes_from(
    github_server: GithubServer, tmp_path: Path
) -> None:
    for settings in (
        settings_for(github_server, tmp_path),
        settings_for(github_server, tmp_path, operator_token=""),
    ):
        with set_up_mode(settings, []) as http:
            for path in ("/setup", "/setup/review", "/setup/callback?code=a&state=b"):
                for host in (str(http.base_url.netloc, "ascii"), "localhost", "evil.example"):
                    plain = {"Host": host, "Authorization": ""}
                    assert http.get(path, headers=plain).status_code == 401, (path, host)


def test_states_are_good_once_and_for_an_hour() -> None:
    now = [0.0]
    states = States(clock=lambda: now[0])
    first = states.issue()
    assert not states.take(first, "other")
    assert not states.take("", "")
    assert states.take(first, first)
    assert not states.take(first, first)
    late = states.issue()
    now[0] = 3601
    assert not states.take(late, late)
    many = [states.issue() for _ in range(MOST_STATES + 1)]
    assert not states.take(many[0], many[0])
    assert states.take(many[-1], many[-1])


def test_the_manifest_asks_for_the_least() -> None:
    asked = json.loads(manifest(AppChoices("F", "", "https://pw.example/"), "https://pw.example/s"))
    assert asked["default_permissions"] == PERMISSIONS == DOUBLE_PERMISSIONS
    assert set(asked["default_events"]) == set(EVENTS) <= set(DOUBLE_EVENTS)
    assert asked["hook_attributes"]["url"] == "https://pw.example/webhooks/github"
    assert asked["callback_urls"] == ["https://pw.example/sign-in/done"]
    assert asked["public"] is False
    assert form_address("https://git.corp", "acme", "s&t") == (
        "https://git.corp/organizations/acme/settings/apps/new?state=s%26t"
    )


def test_an_address_of_this_machine_is_no_use_to_github() -> None:
    for local in ("http://localhost:8080", "http://127.0.0.1", "http://[::1]:80"):
        assert check_choices(AppChoices("F", "", local), "https://github.com")
        assert not check_choices(AppChoices("F", "", local), "http://127.0.0.1:9")
    assert not check_choices(AppChoices("F", "acme", "https://pw.example"), "https://github.com")
