"""`.github/patchwright.yml`: what it can say, each mistake with its line, and hostile files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.repo_config.effective import effective_config
from app.repo_config.parser import LIMIT_BYTES, Problem, read_repo_config, says_off
from app.repo_config.schema import PullRequests, RepoConfig, json_schema
from app.settings.schema import Settings

WHOLE = b"""\
enabled: true
model: k2-thinking
attempts: 2
budget: {calls: 50, wall_minutes: 30}
label: fix me
triggers: {failed_check: true, mention: false}
permissions: {label: write}
test_command: python -m pytest -q
setup:
  - pip install -e .
image: registry.example/team/image:1
network: {setup: true, hosts: [pypi.corp.example, "*.corp.example"]}
paths: {allowed: ["src/**", "tests/**"], forbidden: [src/vendor/**]}
pull_request: {draft_only: true, labels: [bug], reviewers_from_codeowners: true}
limits: {runs_per_day: 5}
language: de
"""
ROOT = Path(__file__).parents[4]


def problems(text: bytes) -> list[tuple[int, str]]:
    found = read_repo_config(text)
    assert found.config == RepoConfig()  # a faulty file counts for nothing
    return [(problem.line, problem.reason) for problem in found.problems]


def test_all_that_it_can_say() -> None:
    found = read_repo_config(WHOLE)
    assert found.problems == ()
    config = found.config
    assert (config.model, config.attempts, config.label) == ("k2-thinking", 2, "fix me")
    assert config.budget.wall_minutes == 30
    assert config.triggers.failed_check and config.triggers.label and not config.triggers.mention
    assert config.setup == ("pip install -e .",)
    assert config.network.hosts == ("pypi.corp.example", "*.corp.example")
    assert config.paths.allowed == ("src/**", "tests/**")
    assert config.pull_request.labels == ("bug",)
    assert config.language == "de"


@pytest.mark.parametrize("text", [None, b"", b"\n", b"# nothing yet\n", b"\xef\xbb\xbf", b"{}"])
def test_no_file_and_an_empty_one_are_the_defaults(text: bytes | None) -> None:
    assert read_repo_config(text).config == RepoConfig()
    assert read_repo_config(text).problems == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"modle: x\n", 1, "modle: there is no such setting; did you mean model?"),
        (b"a: 1\nbudget:\n  call: 3\n", 3, "budget.call: there is no such setting; did you mean"),
        (b"label: x\nattempts: 99\n", 2, "attempts: input should be less than or equal to 16"),
        (b"attempts: '2'\n", 1, "attempts: input should be a valid integer"),
        (b"permissions:\n  label: read\n", 2, "permissions.label: input should be 'triage'"),
        (b"setup:\n  - a\n  - |\n    b\n    c\n", 3, "setup.1: must be one line"),
        (b"paths:\n  allowed: [../x]\n", 2, "pattern of paths within the repository"),
        (b"network:\n  hosts:\n    - http://x\n", 3, "network.hosts.0: string should match"),
        (b"image: $(id)\n", 1, "image: string should match"),
        (b"language: tlh\n", 1, "language: input should be 'en' or 'de'"),
        (b"label: x\nlabel: y\n", 2, "label is given twice"),
        (b"a: [1\nb: 2\n", 2, "not valid YAML"),
        (b"\tlabel: x\n", 1, "not valid YAML"),
        (b"label: x\nmodel: \xff\n", 2, "not UTF-8"),
        (b"label: \x00\n", 0, "not valid YAML"),
        (b"- label\n", 1, "must be a list of `name: value` lines"),
        (b"? [a]\n: b\n", 1, "a name must be text"),
        (b"label: &a x\nmodel: *a\n", 1, "anchors and aliases"),
        (b"label: x\nmodel: !!python/name:os.system\n", 2, "tags"),
        (b"label: " + b"[" * 50 + b"]" * 50, 1, "nested too deeply"),
        (b"# " + b"x" * LIMIT_BYTES, 0, "longer than 32 KiB"),
        (b"label: 2024-99-99\n", 1, "the value cannot be read"),
        (b"label: 1" + b":1" * 400 + b".0\n", 1, "the value cannot be read"),
    ],
)
def test_a_mistake_has_its_line_and_reason(text: bytes, line: int, words: str) -> None:
    found = problems(text)
    assert any(at == line and words in reason for at, reason in found), found


def test_every_mistake_is_told_at_once_in_the_order_of_lines() -> None:
    found = problems(b"modle: a\nattempts: 0\nbudget:\n  tokens: -1\n")
    assert [line for line, _ in found] == [1, 2, 4]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.text(alphabet="abl: -[]{}&*!|>'\"#\n\t?,%@", max_size=200))
def test_no_file_makes_it_crash(text: bytes | str) -> None:
    content = text.encode() if isinstance(text, str) else text
    found = read_repo_config(content)
    assert found.problems or RepoConfig.model_validate(found.config.model_dump())
    assert all(problem.line >= 0 and problem.reason for problem in found.problems)


def test_the_organisation_gives_the_defaults() -> None:
    above = b"attempts: 3\nbudget: {calls: 9, tokens: 7}\npull_request: {labels: [a, b]}\n"
    below = b"budget: {calls: 20}\npull_request: {labels: [c]}\n"
    config = read_repo_config(below, above).config
    assert (config.attempts, config.budget.calls, config.budget.tokens) == (3, 20, 7)
    assert config.pull_request.labels == ("c",)  # a list is replaced as a whole
    assert read_repo_config(None, above).config.attempts == 3


def test_a_faulty_file_leaves_the_other_in_force() -> None:
    found = read_repo_config(b"attempts: 4\n", b"x: 1\n")
    assert found.config.attempts == 4
    assert found.problems == (Problem("organisation", 1, "x: there is no such setting"),)
    assert read_repo_config(b"x: 1\n", b"attempts: 4\n").config.attempts == 4


@pytest.mark.parametrize(
    "text",
    [
        b"enabled: false\n",
        b"label: x\nenabled: no\n",
        b"modle: x\nenabled: false\n",  # a mistake elsewhere must not turn it on
        b"label: [x\nenabled: False  # for now\r\n",
        b"# " + b"x" * LIMIT_BYTES + b"\nenabled: off",
    ],
)
def test_off_is_off_whatever_else_the_file_says(text: bytes) -> None:
    assert says_off(text)
    below = read_repo_config(text)
    assert (below.config.enabled, below.organisation_off) == (False, False)
    above = read_repo_config(b"enabled: true\n", text)
    assert (above.config.enabled, above.organisation_off) == (False, True)


@pytest.mark.parametrize(
    "text", [b"", b"enabled: true\n", b"# enabled: false\n", b"x:\n  enabled: false\n", b"\xff[["]
)
def test_what_does_not_say_off(text: bytes) -> None:
    assert not says_off(text)
    assert read_repo_config(None, text).config.enabled


@pytest.mark.parametrize(
    ("wanted", "default", "expected"),
    [
        (None, 0.0, None),
        (None, 10.0, timedelta(days=10)),
        ("14d", 10.0, timedelta(days=14)),
        ("3w", 0.0, timedelta(weeks=3)),
        ("never", 10.0, None),
    ],
)
def test_after_how_long_pull_requests_expire(
    tmp_path: Path, wanted: str | None, default: float, expected: timedelta | None
) -> None:
    config = RepoConfig(pull_request=PullRequests(expires=wanted))
    settings = Settings(state_dir=tmp_path, pull_expires_days=default)
    assert effective_config(settings, config).expires == expected


@pytest.mark.parametrize("wrong", ["14", "0d", "2 weeks", "-1d", "1000d", "14D"])
def test_a_time_that_is_none_is_named(wrong: str) -> None:
    found = problems(f"pull_request:\n  expires: '{wrong}'\n".encode())
    assert found and all(line == 2 and "expires" in reason for line, reason in found)


def test_the_published_schema_is_the_one_in_force() -> None:
    published = json.loads((ROOT / "docs" / "patchwright.schema.json").read_text())
    assert published == json.loads(json.dumps(json_schema()))
    check = Draft202012Validator(published)
    Draft202012Validator.check_schema(published)
    config = read_repo_config(WHOLE).config.model_dump(mode="json")
    assert list(check.iter_errors(config)) == []
    for wrong in ({"modle": "x"}, {"attempts": 0}, {"permissions": {"label": "read"}}):
        assert list(check.iter_errors(wrong)), wrong


def test_a_repository_gets_no_more_than_the_operator_allows() -> None:
    operator = Settings(
        budget_calls=100, attempts=2, repository_runs_per_day=3, repository_concurrency=2
    )
    more = b"attempts: 8\nbudget: {calls: 999, tokens: 5}\nlimits: {runs_per_day: 9}\n"
    given_ = effective_config(operator, read_repo_config(more).config)
    assert (given_.attempts, given_.budget.calls, given_.budget.tokens) == (2, 100, 5)
    assert (given_.bounds.repository_per_day, given_.bounds.repository_at_once) == (3, 2)
    less = effective_config(
        operator, read_repo_config(b"limits: {runs_per_day: 1, runs_at_once: 1}\n").config
    )
    assert (less.bounds.repository_per_day, less.bounds.repository_at_once) == (1, 1)
    assert effective_config(Settings(), RepoConfig()).bounds.repository_per_day is None
    none = read_repo_config(b"limits: {runs_per_day: 0}").config
    assert effective_config(operator, none).bounds.repository_per_day == 0


def test_the_operators_least_role_for_the_label_holds_where_the_file_names_none() -> None:
    strict = Settings(label_permission="maintain")
    assert effective_config(strict, RepoConfig()).permissions.label == "maintain"
    commands = read_repo_config(b"permissions: {command: admin}\n").config
    asked = effective_config(strict, commands).permissions
    assert (asked.label, asked.command) == ("maintain", "admin")
    own = read_repo_config(b"permissions: {label: triage}\n").config
    assert effective_config(strict, own).permissions.label == "triage"


def test_only_offered_models() -> None:
    asked = read_repo_config(b"model: big-one\n").config
    refused = effective_config(Settings(), asked)
    assert refused.model == "offline"
    assert "`big-one` is not offered here" in refused.remarks[0]
    offered = effective_config(
        Settings(repo_models="big-one, other", model="offline", model_url="http://h:1"), asked
    )
    assert (offered.model, offered.remarks) == ("big-one", ())


def test_a_ladder_has_only_offered_models() -> None:
    asked = read_repo_config(b"ladder: [cheap, evil, offline]\nattempts: 2\n").config
    found = effective_config(
        Settings(repo_models="cheap", model="offline", model_url="http://h:1"), asked
    )
    assert (found.ladder, found.model) == (("cheap", "offline"), "cheap")
    assert "`evil` is not offered here" in found.remarks[0]
    none = effective_config(Settings(), read_repo_config(b"ladder: [evil, worse]\n").config)
    assert (none.ladder, none.model) == (("offline",), "offline")
    assert effective_config(Settings(), RepoConfig()).ladder == ("offline",)
    # A file names profiles, and nothing of servers or keys.
    served = read_repo_config(b"ladder: [{base: k3, model_url: 'http://evil.example'}]\n")
    assert served.problems


def test_budgets_in_money_stay_within_the_operators() -> None:
    prices = {"currency": "EUR", "price_prompt_tokens": 1.0}
    bounds = {"cost_per_run": 5.0, "cost_per_run_most": 20.0, "repository_cost_per_month": 100.0}
    operator = Settings(**prices, **bounds)

    def of(text: bytes, settings: Settings = operator) -> tuple[float, float, float]:
        costs = effective_config(settings, read_repo_config(text).config).costs
        return costs.run, costs.run_most, costs.repository_month

    assert of(b"enabled: true") == (5.0, 20.0, 100.0)
    assert of(b"budget: {cost: 3}\nlimits: {cost_per_month: 40}") == (3.0, 3.0, 40.0)
    assert of(b"budget: {cost: 3, cost_most: 9}") == (3.0, 9.0, 100.0)
    assert of(b"budget: {cost: 30, cost_most: 90}\nlimits: {cost_per_month: 900}") == (5, 20, 100)
    assert of(b"budget: {cost_most: 2}") == (2.0, 2.0, 100.0)
    assert of(b"budget: {cost: 3}", Settings(**prices)) == (3.0, 3.0, 0.0)
    assert of(b"enabled: true", Settings(**prices)) == (0.0, 0.0, 0.0)
    asked = read_repo_config(b"budget: {cost: 3}").config
    assert effective_config(operator, asked).remarks == ()
    [remark] = effective_config(Settings(), asked).remarks
    assert "No prices are set here" in remark
    [(_, why)] = problems(b"budget: {cost: -3}")
    assert "greater than 0" in why


def test_hosts_stay_within_the_operators_bounds() -> None:
    asked = read_repo_config(WHOLE).config
    assert effective_config(Settings(), asked).hosts == ("pypi.corp.example", "*.corp.example")
    bound = effective_config(Settings(setup_repository_hosts="pypi.corp.example"), asked)
    assert bound.hosts == ("pypi.corp.example",)
    assert any("`*.corp.example`" in remark for remark in bound.remarks)
    assert effective_config(Settings(setup_repository_hosts=""), asked).hosts == ()


def test_paths_add_to_what_is_forbidden_anyway() -> None:
    policy = effective_config(Settings(), read_repo_config(WHOLE).config).policy
    assert policy.allowed_paths == ("src/**", "tests/**")
    assert ".github/**" in policy.forbidden_paths
    assert "src/vendor/**" in policy.forbidden_paths


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('schedule:\n  at: "25:00"\n', 2, "schedule.at"),
        ("schedule:\n  at: 12:30\n", 2, 'write the time in quotes, such as "02:00"'),
        ("schedule:\n  most: 3\n", 1, 'say when, with at: "02:00"'),
        ('schedule:\n  at: "02:00"\n  timezone: Europe/Berlni\n', 3, "such as Europe/Berlin"),
        ('schedule:\n  at: "02:00"\n  timezone: ../etc/passwd\n', 3, "no such time zone"),
        ('schedule:\n  at: "02:00"\n  days: [mon, tus]\n', 3, "schedule.days.1"),
        ('schedule:\n  at: "02:00"\n  issues:\n    lables: [x]\n', 4, "did you mean labels?"),
    ],
)
def test_mistakes_in_a_schedule(text: str, line: int, says: str) -> None:
    found = read_repo_config(text.encode())
    [problem] = found.problems
    assert (problem.line, says in problem.reason) == (line, True), problem.reason
    assert found.config.schedule.at == ""


def test_a_schedule_is_bounded_by_the_operator(tmp_path: Path) -> None:
    text = b'schedule:\n  at: "02:00"\n  most: 50\n  then: fix\n'
    config = read_repo_config(text).config

    def bounded(**settings: Any) -> Any:
        given = Settings(state_dir=tmp_path, **settings)
        return effective_config(given, config).schedule

    assert (bounded().most, bounded().then) == (20, "fix")
    assert (bounded(nightly_issues=3).most, bounded(nightly_then="report").then) == (3, "report")
    assert bounded(nightly_issues=0).at == ""
    off = config.model_copy(update={"enabled": False})
    assert effective_config(Settings(state_dir=tmp_path), off).schedule.at == ""
    assert effective_config(Settings(state_dir=tmp_path), RepoConfig()).schedule.at == ""
