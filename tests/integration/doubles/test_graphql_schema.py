"""The stand-in holds GraphQL calls against GitHub's public schema, and answers as GitHub does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.github.description import graphql
from tests.doubles.github.description.validation import OfficialValidation
from tests.doubles.github.fixtures import require_description

COMMIT = (
    "mutation M($input: CreateCommitOnBranchInput!) "
    "{ createCommitOnBranch(input: $input) { commit { oid } } }"
)
ASKED = {
    "branch": {"repositoryNameWithOwner": "acme/shop", "branchName": "main"},
    "message": {"headline": "Say it"},
    "expectedHeadOid": "1" * 40,
}


@pytest.fixture(autouse=True, scope="module")
def _schema() -> None:
    require_description()


@pytest.mark.parametrize(
    ("query", "variables", "words"),
    [
        (COMMIT, {"input": ASKED}, ""),
        (None, {}, "A query attribute must be specified and must be a string."),
        ("mutation {", {}, "Parse error on "),
        ("query { viewer { login nick } }", {}, "Field 'nick' doesn't exist on type 'User'"),
        ("query { viewer { login } } { rateLimit { cost } }", {}, "only defined operation"),
        (
            COMMIT,
            {},
            "Variable $input of type CreateCommitOnBranchInput! was provided invalid value",
        ),
        (
            COMMIT,
            {"input": {**ASKED, "branch": "main", "author": "Eve", "message": {}}},
            "Variable $input of type CreateCommitOnBranchInput! was provided invalid value for ",
        ),
    ],
)
def test_requests(query: Any, variables: dict[str, Any], words: str) -> None:
    errors = graphql.errors_of(query, variables)
    if not words:
        assert errors == []
        return
    assert words in errors[0]["message"]
    if "author" in str(variables):
        problems = {".".join(map(str, one["path"])) for one in errors[0]["extensions"]["problems"]}
        assert problems == {"branch", "author", "message.headline"}


def test_the_apps_wrong_requests_and_odd_answers_are_violations() -> None:
    validation = OfficialValidation()
    assert validation.graphql(COMMIT, {"input": {}}, by_app=False)
    assert validation.violations == []
    assert validation.graphql(COMMIT, {"input": {}}, by_app=True)
    assert "request POST /graphql: Variable $input" in validation.violations.pop()
    # Fields that nobody asked for are not answered, as by GitHub.
    made = {"createCommitOnBranch": {"clientMutationId": "7", "commit": {"oid": "1" * 40}}}
    shown = validation.graphql_answer(COMMIT, {"input": ASKED}, made)
    assert shown == {"createCommitOnBranch": {"commit": {"oid": "1" * 40}}}
    assert validation.violations == []
    validation.graphql_answer(COMMIT, {"input": ASKED}, {"createCommitOnBranch": {"commit": {}}})
    assert "answer to POST /graphql: Cannot return null" in validation.violations[0]
