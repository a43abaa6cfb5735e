"""A repository's own settings, from `.github/patchwright.yml` on its default branch.

The file says what its maintainers want; the operator's settings limit it
(`app.repo_config.effective`). It is only ever read from the default branch, so a pull request
cannot change the rules that it is judged by. Defaults for a whole organisation are at the same path
in its `.github` repository. `app.repo_config.parser` reads the YAML, with the line of every
mistake.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from app.github.records import TriageUp
from app.repo_config.title_template import check_title

PATH = ".github/patchwright.yml"
"""Path of the file, in a repository and in the organisation's `.github` repository."""

ORGANISATION_REPOSITORY = ".github"
"""Name of the repository with an organisation's defaults."""

Language = Literal["en", "de"]
"""Languages that reports are written in."""

_FILE = r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$"
"""A file's path in the repository, or nothing."""


def _one_line(value: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError("must be one line without control characters")
    return value


def _relative(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/"):
        raise ValueError("must be a pattern of paths within the repository")
    return value


Command = Annotated[
    str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_one_line)
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=50), AfterValidator(_one_line)]
Glob = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(_one_line),
    AfterValidator(_relative),
]
Host = Annotated[
    str,
    StringConstraints(
        max_length=253, pattern=r"^(\*\.)?([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}$"
    ),
]


class _Section(BaseModel):
    """A part of the file; strict, so that a misspelt name is reported and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Triggers(_Section):
    """What starts a run or sends it a message; each can be turned off."""

    label: bool = Field(True, description="The label on an issue.")
    command: bool = Field(True, description="`/patchwright …` in a comment.")
    mention: bool = Field(True, description="`@name` of the App in a comment.")
    assignment: bool = Field(True, description="Assigning the issue to the App.")
    failed_check: bool = Field(
        False,
        description="A failed check on the default branch, or on a pull request with the label. "
        "No role is checked: whoever can push to the repository can start such a run.",
    )
    rerun: bool = Field(True, description="The re-run button of the App's check run.")
    alert: bool = Field(
        False,
        description="An alert that the operator's file leads to this repository: a run on the "
        "issue that the alert opened. No role is checked: whoever can make the program fail can "
        "start such a run.",
    )


class Permissions(_Section):
    """The lowest role that a person needs."""

    label: TriageUp = Field("triage", description="To start a run with the label or assignment.")
    command: TriageUp = Field("write", description="To give commands, in comments or by mention.")


class BudgetLimits(_Section):
    """What one attempt may use; never more than the operator allows."""

    calls: int | None = Field(None, ge=1, le=100_000, description="Tool calls.")
    calls_per_hypothesis: int | None = Field(
        None, ge=1, le=10_000, description="Tool calls for one hypothesis."
    )
    wall_minutes: float | None = Field(None, gt=0, le=10_080, strict=False, description="Minutes.")
    tokens: int | None = Field(None, ge=1, description="Tokens, cached ones included.")
    cost: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        strict=False,
        description="What the whole run may cost, in the operator's currency.",
    )
    cost_most: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        strict=False,
        description="What `budget=` in a comment can raise that to; empty: to `cost`.",
    )


class Paths(_Section):
    """Which files a patch may change, as globs; `**` spans folders."""

    allowed: tuple[Glob, ...] = Field(
        (),
        max_length=100,
        strict=False,
        description="Only these; empty: everything that is not forbidden.",
    )
    forbidden: tuple[Glob, ...] = Field(
        (),
        max_length=100,
        strict=False,
        description="Never these, in addition to the built-in ones.",
    )


class Network(_Section):
    """What network access the set-up commands have. The run itself has none."""

    setup: bool = Field(True, description="Whether set-up may reach the network at all.")
    hosts: tuple[Host, ...] = Field(
        (),
        max_length=100,
        strict=False,
        description="Hosts that set-up may reach in addition to the operator's; `*.NAME` for all "
        "names below it.",
    )


class PullRequests(_Section):
    """How pull requests are made."""

    @field_validator("title_prefix", "title")
    @classmethod
    def _check_title_lines(cls, value: str) -> str:
        return _one_line(value)

    @field_validator("title")
    @classmethod
    def _check_title(cls, value: str) -> str:
        return check_title(value)

    draft_only: bool = Field(False, description="Open every pull request as a draft.")
    without_drafts: Literal["comment", "pull_request"] = Field(
        "comment",
        description="What becomes of a draft where GitHub offers none, as in private repositories "
        "on its free plans: `comment` names the branch and shows the diff on the issue; "
        "`pull_request` opens a normal one, titled “Not ready”, with a check that does not pass.",
    )
    branch_prefix: str = Field(
        "patchwright/",
        max_length=60,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*/?$",
        description="How the names of Patchwright's branches begin, for repositories with a rule "
        "about names; it should end with `/` or `-`.",
    )
    title_prefix: str = Field(
        "",
        max_length=40,
        description="What the titles of pull requests begin with, such as `[bot] `; commits do "
        "not.",
    )
    title: str = Field(
        "",
        max_length=120,
        description="How their titles are made, after the prefix: text with `{title}` (what it "
        "would be otherwise), `{issue}` (the issue's number), `{issue_title}` and `{summary}` "
        "(what the patch does); empty: `{title}`.",
    )
    template: str = Field(
        "",
        max_length=300,
        pattern=_FILE,
        description="Path of the template for their descriptions, such as "
        "`.github/PULL_REQUEST_TEMPLATE/fix.md`; empty: where GitHub looks for the only one.",
    )
    most_open: int = Field(
        0,
        ge=0,
        le=1000,
        description="Pull requests of Patchwright that may be open at the same time: with so many, "
        "no further issue is begun, and it is told why; 0: any number.",
    )
    expires: str | None = Field(
        None,
        pattern=r"^(never|[1-9][0-9]{0,2}[dw])$",
        description="After how long a pull request of Patchwright is closed if no person commented "
        "on it, reviewed it or pushed to it: days or weeks (`14d`, `3w`), or `never`; empty: the "
        "operator's setting. It is said some days before, and it can be opened again.",
    )
    labels: tuple[Name, ...] = Field(
        ("patchwright",), max_length=20, strict=False, description="Labels to put on it."
    )
    reviewers_from_codeowners: bool = Field(
        False, description="Ask the owners of the changed files for a review."
    )
    reviewers_from_history: bool | None = Field(
        None,
        description="Ask the author of the change that broke it, and the last authors of the "
        "patched lines, for a review; empty: the operator's setting.",
    )
    co_author_reporter: bool = Field(
        False, description="Name the issue's author in a Co-authored-by line."
    )
    co_author_requester: bool = Field(
        False, description="Name who asked for the run in a Co-authored-by line."
    )


class RepoLimits(_Section):
    """How much may run; never more than the operator allows."""

    runs_at_once: int | None = Field(None, ge=1, le=100, description="Runs at the same time.")
    runs_per_day: int | None = Field(
        None, ge=0, le=10_000, description="Runs started within 24 hours; 0: none."
    )
    cost_per_month: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        strict=False,
        description="What they may cost in a calendar month (UTC), in the operator's currency.",
    )


class Prove(_Section):
    """Pull requests that are proven without being asked, and what is said of proofs."""

    authors: tuple[Name, ...] = Field(
        (),
        max_length=100,
        strict=False,
        description="Logins whose every pull request is proven, like `dependabot[bot]`; `*`: "
        "everybody's.",
    )
    labels: tuple[Name, ...] = Field(
        (),
        max_length=20,
        strict=False,
        description="So is every one on which somebody who may (see `permissions`) put one of "
        "these labels,",
    )
    paths: tuple[Glob, ...] = Field(
        (),
        max_length=100,
        strict=False,
        description="and every one that touches such a file; `**` spans folders.",
    )
    merge_queue: bool = Field(
        True,
        description="Whether merge queues are answered, where pull requests are proven at all.",
    )
    comment: bool = Field(
        False, description="Keep the proof in a comment on the pull request, besides the check."
    )
    head_setup: bool = Field(
        False,
        description="Whether set-up follows the manifests of the pull request instead of those of "
        "its base, also those of forks. They run with the set-up's network access.",
    )
    strength: int = Field(
        0,
        ge=0,
        le=50,
        description="Small variants of the change that its evidence is tried on, for at most a "
        "minute; the proof says how many it tells apart. 0: none.",
    )
    missing: Literal["neutral", "failure"] = Field(
        "neutral",
        description="Conclusion of the check where the proof lacks something. GitHub lets a "
        "required check pass that is neutral.",
    )

    @property
    def is_automatic(self) -> bool:
        """Whether any pull request is proven without being asked."""
        return bool(self.authors or self.labels or self.paths)


class TreeShape(_Section):
    """Which parts of the repository's tree go into the sandbox."""

    sparse: tuple[Glob, ...] = Field(
        (), max_length=100, strict=False, description="Only these folders and files; empty: all."
    )
    lfs: bool = Field(False, description="Git LFS files themselves instead of their pointers.")
    submodules: bool = Field(False, description="Include submodules on the same server.")


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
MayFollow = Literal["report", "diagnose", "fix"]
"""What may come of an issue that a night looks at; each allows what is before it, too."""


class BacklogQuery(_Section):
    """Which open issues a night may look at."""

    labels: tuple[Name, ...] = Field(
        (), max_length=20, strict=False, description="Only with one of these labels; empty: any."
    )
    without_labels: tuple[Name, ...] = Field(
        (), max_length=20, strict=False, description="Never with one of these labels."
    )
    older_than_days: float = Field(
        1.0,
        ge=0,
        le=3650,
        strict=False,
        description="Only those that were opened so many days ago or earlier.",
    )
    with_traceback: bool = Field(
        False, description="Only those whose text has a stack trace, in any of the languages."
    )
    unassigned: bool = Field(True, description="Only those that nobody is assigned to.")
    without_pull_request: bool = Field(
        True, description="Only those that no open pull request says to fix or mentions."
    )


class Schedule(_Section):
    """Nights at which open issues are looked at without being asked. Off without `at`."""

    at: str = Field(
        "",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
        description='Time of the day, in quotes, such as `"02:00"`; empty: never.',
    )
    timezone: str = Field(
        "UTC",
        max_length=64,
        description="Time zone of `at` by its IANA name, such as `Europe/Berlin`; summer time is "
        "minded.",
    )
    days: tuple[Weekday, ...] = Field(
        (),
        max_length=7,
        strict=False,
        description="Days of the week (`mon` … `sun`) on which the night begins; empty: every day.",
    )
    issues: BacklogQuery = BacklogQuery()
    most: int = Field(
        5,
        ge=1,
        le=200,
        description="Issues that one night looks at; never more than the operator allows.",
    )
    then: MayFollow = Field(
        "report",
        description="What may follow: `report` writes nothing on the issues; `diagnose` also "
        "comments on those that could be reproduced (with the test), that were fixed already (with "
        "the commit), or that lack something (once); `fix` also opens a pull request for a proven "
        "fix. Never more than the operator allows.",
    )
    ask: bool = Field(
        True,
        description="Whether an issue that lacks something is asked for it, once ever; with `then: "
        "report`, never.",
    )
    report: Literal["page", "issue", "issue_each_night"] = Field(
        "page",
        description="Where the night's report is: `page` on the dashboard only; `issue` also in "
        "one issue that each night brings up to date; `issue_each_night` in a new one after each "
        "night that looked at something.",
    )

    @field_validator("at", mode="before")
    @classmethod
    def _check_quotes(cls, value: object) -> object:
        if isinstance(value, int):  # YAML takes 12:30 for a number to the base of 60
            raise ValueError('write the time in quotes, such as "02:00"')
        return value

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, LookupError):
            close = difflib.get_close_matches(value, available_timezones(), n=1)
            hint = close[0] if close else "Europe/Berlin or UTC"
            raise ValueError(
                f"there is no such time zone; write its IANA name, such as {hint}"
            ) from None
        return value

    @model_validator(mode="after")
    def _check_time(self) -> Self:
        if self.model_fields_set and "at" not in self.model_fields_set:
            raise ValueError('say when, with at: "02:00"; an empty at turns it off')
        return self


class RepoConfig(_Section):
    """Everything that `.github/patchwright.yml` may contain. Every field has a default."""

    enabled: bool = Field(
        True,
        description="Whether the App works in this repository; `false` in an organisation's file "
        "holds for all its repositories.",
    )
    model: str = Field(
        "",
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Model profile, one of those the operator offers; empty: the operator's.",
    )
    ladder: tuple[Name, ...] = Field(
        (),
        max_length=4,
        strict=False,
        description="Model profiles in place of `model`, the cheapest first, of those that the "
        "operator offers. Each gets its attempts, and the next one only where none was proven.",
    )
    attempts: int | None = Field(
        None, ge=1, le=16, description="Attempts per issue, side by side; with a ladder, per model."
    )
    budget: BudgetLimits = BudgetLimits()
    label: Name | None = Field(None, description="Label that starts a run; empty: the operator's.")
    triggers: Triggers = Triggers()
    permissions: Permissions = Permissions()
    test_command: Command | None = Field(
        None, description="How to run the tests; empty: detected from the repository."
    )
    prove_without_tests: bool = Field(
        False,
        description="Whether a reproduction alone is enough for a normal pull request if the "
        "repository has no test that runs; otherwise it is a draft.",
    )
    setup: tuple[Command, ...] = Field(
        (), max_length=50, strict=False, description="Commands that prepare the sandbox, in order."
    )
    image: str = Field(
        "",
        max_length=300,
        pattern=r"^([a-zA-Z0-9][a-zA-Z0-9._/:@-]*)?$",
        description="Image of the sandbox; empty: devcontainer, Dockerfile, or by language.",
    )
    dockerfile: str = Field(
        "",
        max_length=300,
        pattern=_FILE,
        description="Path of a Dockerfile in the repository for the sandbox's environment; "
        "`setup` runs after it.",
    )
    network: Network = Network()
    tree: TreeShape = TreeShape()
    history: bool = Field(
        True,
        description="Whether the sandbox holds the repository's history up to the base commit.",
    )
    project_rules: bool = Field(
        True,
        description="Whether the project's own rules (`AGENTS.md` and the like, on the default "
        "branch), what its fixes nearly always touch, and its style programs are told to the "
        "model and looked at by the gate, as advice.",
    )
    tools: tuple[Name, ...] | None = Field(
        None,
        max_length=50,
        strict=False,
        description="The operator's servers of tools that runs may use, by name; an empty list: "
        "none; not set: all that the operator lets this repository use.",
    )
    when_claimed: Literal["wait", "work"] | None = Field(
        None,
        description="What becomes of an issue that an open pull request of somebody else, who may "
        "write to the repository, says to fix: `wait` says so there, and a `/patchwright fix` "
        "after that begins the work; `work` begins at once; empty: the operator's setting.",
    )
    approval: Literal["none", "plan"] = Field(
        "none",
        description="`plan`: every run stops once it has reproduced the bug and found its cause, "
        "proposes the change, and waits for `/patchwright go`.",
    )
    question_hours: float | None = Field(
        None,
        ge=0,
        le=720,
        strict=False,
        description="How long a run that has asked a question waits for the answer, in hours; 0: "
        "runs ask nothing; empty: the operator's setting. Never more than the operator allows.",
    )
    paths: Paths = Paths()
    pull_request: PullRequests = PullRequests()
    prove: Prove = Prove()
    limits: RepoLimits = RepoLimits()
    schedule: Schedule = Schedule()
    language: Language = Field("en", description="Language of reports and comments.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    schema = RepoConfig.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Patchwright's settings for one repository (.github/patchwright.yml)",
    }
