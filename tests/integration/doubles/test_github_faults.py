"""The stand-in GitHub when things go wrong on demand, and whether its validation sees faults."""

from typing import Any

import httpx
import pytest
import requests
from github import Auth, Github, GithubIntegration
from github.GithubException import GithubException, RateLimitExceededException

from tests.doubles.github.client import GithubWorld, WorldRefused
from tests.doubles.github.description.validation import OfficialValidation
from tests.doubles.github.description.versions import OLDEST
from tests.doubles.github.fixtures import require_description
from tests.doubles.github.operations.operation import Answer
from tests.doubles.github.server import GithubServer, Options
from tests.doubles.github.shapes import basic

REPO = "acme/widget"
# PyGithub otherwise waits a second after each write.
UNHURRIED: Any = {"seconds_between_requests": 0, "seconds_between_writes": 0}


def client(server: GithubServer, owner: str = "acme") -> Github:
    auth = Auth.AppAuth(server.app_id, server.private_key_pem)
    app = GithubIntegration(auth=auth, base_url=server.url, retry=None, **UNHURRIED)
    secret = app.get_access_token(app.get_repo_installation(owner, "widget").id).token
    return Github(auth=Auth.Token(secret), base_url=server.url, retry=None, **UNHURRIED)


@pytest.fixture
def issue(github_world: GithubWorld) -> int:
    github_world.create_repo(REPO)
    return github_world.collaborator(REPO, "ann").open_issue(REPO, "x")


def test_a_call_fails_as_often_as_asked(
    github_server: GithubServer, github_world: GithubWorld, issue: int
) -> None:
    app = client(github_server)
    target = app.get_repo(REPO).get_issue(issue)
    github_world.fail("POST .*/comments$", times=2, status=502)
    for _ in range(2):
        with pytest.raises(GithubException) as broken:
            target.create_comment("hello")
        assert broken.value.status == 502
    target.create_comment("hello")
    assert len(github_world.acts("issues/create-comment")) == 1


@pytest.mark.parametrize("kind", ["lost", "after"])
def test_an_act_can_be_done_without_the_app_knowing(
    github_server: GithubServer, github_world: GithubWorld, issue: int, kind: str
) -> None:
    target = client(github_server).get_repo(REPO).get_issue(issue)
    github_world.fail("POST .*/comments$", kind=kind)
    with pytest.raises((GithubException, requests.RequestException)):
        target.create_comment("hello")
    assert [c["body"] for c in github_world.comments(REPO, issue)] == ["hello"]


def test_a_slow_answer_comes_late(
    github_server: GithubServer, github_world: GithubWorld, issue: int
) -> None:
    app = client(github_server)
    github_world.fail("GET /repos/acme/widget$", kind="slow", delay_s=0.3)
    assert app.get_repo(REPO).raw_headers["x-ratelimit-limit"] == "5000"
    with pytest.raises(requests.exceptions.ReadTimeout):
        github_world.fail("GET /repos/acme/widget$", kind="slow", delay_s=3)
        secret = app.requester.auth.token  # type: ignore[union-attr]
        requests.get(
            f"{github_server.url}/repos/{REPO}",
            headers={"Authorization": f"Bearer {secret}"},
            timeout=0.2,
        )


def test_primary_and_secondary_rate_limits(
    github_server: GithubServer, github_world: GithubWorld, issue: int
) -> None:
    app = client(github_server)
    github_world.rate_limit(1, reset_in_s=600)
    app.get_repo(REPO)
    with pytest.raises(RateLimitExceededException) as primary:
        app.get_repo(REPO)
    assert primary.value.headers is not None
    assert primary.value.headers["x-ratelimit-remaining"] == "0"
    assert app.get_rate_limit().rate.remaining == 0
    github_world.advance(601)
    app.get_repo(REPO)
    github_world.fail("GET", kind="secondary", retry_after_s=7)
    with pytest.raises(RateLimitExceededException, match="secondary") as secondary:
        app.get_repo(REPO)
    assert secondary.value.headers is not None
    assert secondary.value.headers["retry-after"] == "7"


def test_each_installation_has_a_rate_limit_of_its_own(
    github_server: GithubServer, github_world: GithubWorld, issue: int
) -> None:
    app = client(github_server)
    github_world.rate_limit(0, reset_in_s=600)
    github_world.create_repo("other/widget")
    client(github_server, "other").get_repo("other/widget")
    with pytest.raises(RateLimitExceededException):
        app.get_repo(REPO)


def test_a_request_that_github_would_not_know_is_a_violation() -> None:
    require_description()
    with GithubServer(Options()) as server, GithubWorld(server.admin_url) as world:
        world.create_repo(REPO)
        ann = world.collaborator(REPO, "ann", "admin")
        secret = {"Authorization": f"Bearer {ann.token}"}
        base = f"{server.url}/repos/{REPO}"
        assert httpx.get(f"{base}/nonsense", headers=secret, trust_env=False).status_code == 404
        httpx.get(f"{base}/issues?colour=red", headers=secret, trust_env=False)
        httpx.get(f"{base}/issues?state=ajar", headers=secret, trust_env=False)
        httpx.post(f"{base}/issues", headers=secret, json={"body": "x"}, trust_env=False)
        told = "\n".join(world.violations)
    assert "no such operation" in told
    assert "no query parameter 'colour'" in told
    assert "'ajar' is not one of" in told
    assert "'title' is a required property" in told


def test_wrong_answers_and_webhooks_are_violations_and_nulls_are_not() -> None:
    require_description()
    template = "/repos/{owner}/{repo}/issues/comments/{comment_id}"
    validation = OfficialValidation()
    validation.answer(OLDEST, "GET", template, Answer(200, {"id": "seven"}))
    validation.answer(OLDEST, "GET", template, Answer(202, {}))
    validation.answer(OLDEST, "GET", template, Answer(503, {"message": 5}))
    validation.event("issues", {"action": "labeled"})
    validation.event("issues", {"action": "sneezed"})
    told = "\n".join(validation.violations)
    assert "'node_id' is a required property" in told
    assert "GitHub lists no such status" in told
    assert "5 is not of type 'string'" in told
    assert "webhook issues$labeled: body: 'issue' is a required property" in told
    assert "webhook issues$sneezed: GitHub has no such event" in told
    validation.violations.clear()
    validation.answer(OLDEST, "GET", template, Answer(200, {"id": "seven"}))
    assert validation.violations, "only what fits is remembered"


def test_a_fault_of_the_stand_in_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug in the stand-in")

    with GithubServer(Options(validate=False)) as server, GithubWorld(server.admin_url) as world:
        world.create_repo(REPO)
        ann = world.collaborator(REPO, "ann", "admin")
        monkeypatch.setattr(basic, "issue", broken)
        with pytest.raises(WorldRefused, match="500"):
            ann.open_issue(REPO, "x")
        assert "a bug in the stand-in" in world.violations[0]


def test_without_validation_gaps_of_the_stand_in_are_told_even_so() -> None:
    options = Options(validate=False, api_prefix="")
    with GithubServer(options) as server, GithubWorld(server.admin_url) as world:
        world.create_repo(REPO)
        assert client(server).get_repo(REPO).full_name == REPO
        ann = world.collaborator(REPO, "ann", "admin")
        with pytest.raises(WorldRefused, match="404"):
            ann.call("GET", f"/repos/{REPO}/nonsense")
        assert world.violations == [
            f"GET /repos/{REPO}/nonsense: the stand-in has no such operation"
        ]
