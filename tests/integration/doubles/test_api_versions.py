"""The versions of GitHub's REST API: what differs, held to what others made of its description."""

import re
from dataclasses import replace
from typing import Any

import pytest

from app.github.client import GithubForge
from app.github.records import CheckReport
from tests.doubles.github.api import OPERATIONS
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.description import schemas
from tests.doubles.github.description.validation import OfficialValidation, description_of
from tests.doubles.github.description.versions import GONE, NEWEST, OLDEST, VERSIONS, answered
from tests.doubles.github.operations.operation import Answer
from tests.doubles.github.server import GithubServer
from tests.doubles.github.state import Json
from tests.support.github.app import app_of, git, installation_of, shop
from tests.support.github.declared import reads_noted

__all__ = ["shop"]


def _components(node: Any, found: set[str]) -> set[str]:
    """The names of all components that a part of the description refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                kind, name = value.removeprefix("#/components/").split("/")
                if kind == "schemas" and name in found:
                    continue
                if kind == "schemas":
                    found.add(name)
                _components(description_of(OLDEST)["components"][kind][name], found)
            else:
                _components(value, found)
    elif isinstance(node, list):
        for value in node:
            _components(value, found)
    return found


def _answers() -> set[str]:
    """Components of the answers to all operations that the stand-in has."""
    found: set[str] = set()
    for operation in OPERATIONS:
        described = description_of(OLDEST)["paths"].get(operation.template, {})
        _components(described.get(operation.method.lower(), {}).get("responses", {}), found)
    return found


def test_what_is_gone_is_what_the_packages_of_both_versions_differ_in() -> None:
    if not all(schemas.kept(version).exists() for version in VERSIONS):
        pytest.skip("the packages are not here: make check-api-versions fetches them")
    old, new = schemas.models(OLDEST), schemas.models(NEWEST)
    named = {re.sub(r"[^a-z0-9]", "", name): name for name in _answers()}
    differ: dict[str, frozenset[str]] = {}
    for model in old.keys() & new.keys():
        component = named.get(model.lower())
        if component and old[model] != new[model]:
            assert not new[model] - old[model], model
            differ[component] = old[model] - new[model]
    # Answered only where an operation of the stand-in has it.
    assert differ == {name: gone for name, gone in GONE.items() if name in named.values()}
    assert differ.keys() >= {"issue", "pull-request", "full-repository", "rate-limit-overview"}


def test_the_newer_version_has_no_field_that_is_gone() -> None:
    body: Json = {
        "assignees": [],
        "assignee": None,
        "base": {"repo": {"has_downloads": True, "name": "shop"}},
        "merge_commit_sha": "1" * 40,
    }
    assert answered(body, OLDEST) == body
    assert answered([body], NEWEST) == [{"assignees": [], "base": {"repo": {"name": "shop"}}}]
    event = {"event": "assigned", "assignee": {"login": "ann"}}
    assert answered(event, NEWEST) == event


def test_a_field_that_is_gone_violates_the_newer_description() -> None:
    rate = {"limit": 1, "remaining": 1, "reset": 1, "used": 0}
    resources = dict.fromkeys(("core", "search"), rate)
    whole = Answer(200, {"resources": resources, "rate": rate})
    validation = OfficialValidation()
    validation.answer(OLDEST, "GET", "/rate_limit", whole)
    validation.answer(NEWEST, "GET", "/rate_limit", Answer(200, {"resources": resources}))
    assert validation.violations == []
    validation.answer(NEWEST, "GET", "/rate_limit", whole)
    assert len(validation.violations) == 1
    assert "rate" in validation.violations[0]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_app_reads_only_what_the_description_of_its_version_declares(
    github_server: GithubServer, github_world: GithubWorld, shop: str, version: str
) -> None:
    ann = github_world.collaborator(shop, "ann")
    number = ann.open_issue(shop, "Total is wrong", "It is 1 for `[]`.")
    ann.comment(shop, number, "Seen too.")
    app, place = (
        replace(app_of(github_server), api_version=version),
        installation_of(github_server, shop),
    )
    found = github_server.world_state.repo(shop)
    assert found is not None
    tree = git(found.git, "rev-parse", "main^{tree}")
    sha = git(found.git, "commit-tree", tree, "-p", "main", "-m", "fix")
    git(found.git, "update-ref", "refs/heads/patchwright/1", sha)
    with reads_noted() as notes:
        forge = GithubForge(app, place, shop)
        try:
            await forge.repository()
            await forge.issue(number)
            await forge.permission("ann")
            await forge.put_comment(number, "<!-- m -->", "<!-- m -->\nHello.")
            await forge.put_check(
                CheckReport("r1", "Proof", sha, "Done", "…", conclusion="success")
            )
            await forge.is_on_branch("main", sha)
            await forge.git_token()
        finally:
            await forge.close()
    assert notes.answers > 8
    assert notes.undeclared == set()


async def test_a_read_that_no_description_declares_is_noted(
    github_server: GithubServer, shop: str
) -> None:
    with reads_noted() as notes:
        forge = GithubForge(
            replace(app_of(github_server), api_version=NEWEST),
            installation_of(github_server, shop),
            shop,
        )
        try:
            await forge.repository()
            _, body = forge._client.requester.requestJsonAndCheck("GET", f"/repos/{shop}")
        finally:
            await forge.close()
    assert notes.undeclared == set()
    body.get("has_downloads")
    body["owner"].get("nickname")
    said = sorted(notes.undeclared)
    assert said == [
        f"GET /repos/{{owner}}/{{repo}} ({NEWEST}): 'has_downloads'",
        f"GET /repos/{{owner}}/{{repo}} ({NEWEST}): 'nickname'",
    ]
