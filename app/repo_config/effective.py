"""The configuration of one run: what its repository asks for, within what the operator allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, get_args

from agent.task import Budget, GatePolicy
from app.git.tree_archive import TreeOptions
from app.github.forge import Forge
from app.repo_config.parser import Problem, read_repo_config, says_off
from app.repo_config.schema import (
    ORGANISATION_REPOSITORY,
    PATH,
    Language,
    MayFollow,
    Permissions,
    Prove,
    PullRequests,
    RepoConfig,
    Schedule,
    Triggers,
)
from app.settings.schema import Settings
from sandbox.egress.rules import is_within


@dataclass(frozen=True, slots=True)
class EffectiveConfig:
    """The configuration of a run."""

    enabled: bool
    """Whether anything is done in the repository at all."""
    model: str
    """Name of the model profile; with a ladder, the first one's."""
    ladder: tuple[str, ...]
    """Profiles that take their turns until one proves a fix; at least one."""
    attempts: int
    budget: Budget
    label: str
    triggers: Triggers
    permissions: Permissions
    test_command: str
    """Empty: found out from the repository."""
    setup: tuple[str, ...]
    image: str
    """Empty: found out from the repository."""
    dockerfile: str
    """Path of the Dockerfile to follow; empty: found out from the repository."""
    network: bool
    """Whether set-up may use the network."""
    hosts: tuple[str, ...]
    """Hosts that set-up may reach besides the operator's."""
    policy: GatePolicy
    pull_request: PullRequests
    bounds: Bounds
    language: Language
    prove: Prove
    costs: CostLimits
    tree: TreeOptions = TreeOptions()  # noqa: RUF009 - frozen
    """What of the tree goes into the sandbox."""
    history: bool = True
    """Whether the sandbox holds the history up to the base commit."""
    project_rules: bool = True
    """Whether the project's own rules are told to the model and looked at by the gate."""
    when_claimed: Literal["wait", "work"] = "wait"
    """What becomes of an issue that somebody else's open pull request says to fix."""
    approval: Literal["none", "plan"] = "none"
    """`plan`: runs propose their change and wait until it is approved."""
    plan_s: float = 0.0
    """How long they wait, in seconds."""
    tool_servers: tuple[str, ...] | None = None
    """The operator's servers of tools that runs may use at most; None: all that it lets them."""
    question_s: float = 0.0
    """How long a run waits for the answer to its question, in seconds; 0: it may not ask."""
    expires: timedelta | None = None
    """After how long without a person a pull request is closed; None: never."""
    schedule: Schedule = Schedule()  # noqa: RUF009 - frozen
    """When open issues are looked at without being asked, as the operator bounds it."""
    remarks: tuple[str, ...] = ()
    """Settings of the repository that were not granted, in sentences for the status comment."""
    problems: tuple[Problem, ...] = ()
    """Mistakes in the settings' files, which then count for nothing."""
    stop: bool = False
    """Whether the run must not continue because of them."""
    off: str = ""
    """Why nothing is, in a sentence, where the organisation or the operator wants it so."""
    own_file: bool = False
    """Whether the repository has settings of its own, faulty ones included."""


async def read_effective_config(settings: Settings, forge: Forge) -> EffectiveConfig:
    """Read both files from their default branches. Raises `ForgeError`."""
    owner = forge.name.partition("/")[0]
    organisation = f"{owner}/{ORGANISATION_REPOSITORY}"
    repository_file = await forge.file(PATH)
    organisation_file = None
    if forge.name.casefold() != organisation.casefold():
        organisation_file = await forge.file(PATH, repository=organisation)
    found = read_repo_config(repository_file, organisation_file)
    return replace(
        effective_config(settings, found.config),
        problems=found.problems,
        stop=bool(found.problems) and settings.bad_repo_config == "stop",
        own_file=repository_file is not None,
        off=off_by_file(owner) if found.organisation_off else "",
    )


async def is_off_by_file(forge: Forge) -> bool:
    """Whether an organisation turns the App off by its own file. Raises `ForgeError`."""
    owner = forge.name.partition("/")[0]
    content = await forge.file(PATH, repository=f"{owner}/{ORGANISATION_REPOSITORY}")
    return content is not None and says_off(content)


def off_by_file(account: str) -> str:
    """Why nothing is done in an organisation that turns the App off by its own file."""
    place = f"{account}/{ORGANISATION_REPOSITORY}"
    return f"The settings of {account} turn Patchwright off (`enabled: false` in {place})."


def effective_config(settings: Settings, config: RepoConfig) -> EffectiveConfig:
    """The configuration in effect. Repositories get at most what the operator allows."""
    offered = settings.offered_models
    model = config.model if config.model in offered else settings.profile
    remarks = []
    if config.model and config.model != model:
        remarks.append(
            f"The model `{config.model}` is not offered here; `{model}` is used instead. Offered: "
            f"{', '.join(offered)}."
        )
    ladder = tuple(rung for rung in config.ladder if rung in offered) or (model,)
    if refused := [rung for rung in config.ladder if rung not in offered]:
        remarks.append(
            f"The ladder's {', '.join(f'`{rung}`' for rung in refused)} "
            f"{'is' if len(refused) == 1 else 'are'} not offered here and left out. Offered: "
            f"{', '.join(offered)}."
        )
    hosts = tuple(h for h in config.network.hosts if is_within(h, settings.setup_repository_hosts))
    if ungranted := [host for host in config.network.hosts if host not in hosts]:
        remarks.append(
            f"Set-up may not reach {', '.join(f'`{host}`' for host in ungranted)}: the operator "
            "does not let repositories add these hosts."
        )
    limits, costs = config.limits, _costs(settings, config)
    if (config.budget.cost or limits.cost_per_month) and not settings.counts_money:
        remarks.append("No prices are set here, so the budget in money cannot be kept.")
    day = settings.repository_runs_per_day or None
    return EffectiveConfig(
        enabled=config.enabled,
        model=ladder[0],
        ladder=ladder,
        attempts=min(config.attempts or settings.attempts, settings.attempts),
        budget=_budget(settings.budget, config),
        label=config.label or settings.label,
        triggers=config.triggers,
        permissions=_permissions(settings, config),
        test_command=config.test_command or "",
        setup=config.setup,
        image=config.image,
        dockerfile=config.dockerfile,
        network=config.network.setup,
        hosts=hosts,
        policy=_policy(config),
        pull_request=_pull_request(settings, config),
        bounds=Bounds(
            organisation_at_once=settings.organisation_concurrency,
            repository_at_once=min(
                limits.runs_at_once or settings.repository_concurrency,
                settings.repository_concurrency,
            ),
            per_day=settings.runs_per_day,
            organisation_per_day=settings.organisation_runs_per_day,
            repository_per_day=_least(limits.runs_per_day, day),
        ),
        language=config.language,
        prove=config.prove,
        costs=costs,
        tree=TreeOptions(config.tree.sparse, config.tree.lfs, config.tree.submodules),
        history=config.history and settings.history,
        project_rules=config.project_rules,
        when_claimed=config.when_claimed or settings.when_claimed,
        tool_servers=config.tools,
        approval=config.approval,
        plan_s=86_400.0 * settings.plan_days,
        question_s=3600.0 * _least_hours(config.question_hours, settings.question_hours),
        expires=_expires(settings, config.pull_request.expires),
        schedule=_schedule(settings, config),
        remarks=tuple(remarks),
    )


def _schedule(settings: Settings, config: RepoConfig) -> Schedule:
    """The repository's; off where it, or the operator, wants no nights."""
    if not config.enabled or not settings.nightly_issues:
        return Schedule()
    order: tuple[MayFollow, ...] = get_args(MayFollow)
    then = min(config.schedule.then, settings.nightly_then, key=order.index)
    most = min(config.schedule.most, settings.nightly_issues)
    return config.schedule.model_copy(update={"then": then, "most": most})


def _permissions(settings: Settings, config: RepoConfig) -> Permissions:
    """The repository's, and where it names no role for the label, the operator's."""
    if "label" in config.permissions.model_fields_set:
        return config.permissions
    return config.permissions.model_copy(update={"label": settings.label_permission})


def _pull_request(settings: Settings, config: RepoConfig) -> PullRequests:
    """The repository's, and where it says nothing about reviewers, the operator's."""
    if config.pull_request.reviewers_from_history is not None:
        return config.pull_request
    return config.pull_request.model_copy(
        update={"reviewers_from_history": settings.reviewers_from_history}
    )


def _expires(settings: Settings, wanted: str | None) -> timedelta | None:
    if wanted is None:
        return timedelta(days=settings.pull_expires_days) or None
    if wanted == "never":
        return None
    return timedelta(days=int(wanted[:-1]) * (7 if wanted.endswith("w") else 1))


def _budget(most: Budget, config: RepoConfig) -> Budget:
    requested = config.budget
    wall_s = requested.wall_minutes * 60 if requested.wall_minutes else most.wall_s
    return most.model_copy(
        update={
            "calls": min(requested.calls or most.calls, most.calls),
            "calls_per_hypothesis": min(
                requested.calls_per_hypothesis or most.calls_per_hypothesis,
                most.calls_per_hypothesis,
            ),
            "wall_s": min(wall_s, most.wall_s),
            "tokens": min(requested.tokens or most.tokens, most.tokens),
        }
    )


def _costs(settings: Settings, config: RepoConfig) -> CostLimits:
    requested = config.budget
    operators_most = settings.cost_per_run_most or settings.cost_per_run
    most = _least_set(requested.cost_most or requested.cost or 0.0, operators_most)
    usual = _least_set(
        requested.cost or 0.0, settings.cost_per_run or settings.cost_per_run_most, most
    )
    return CostLimits(
        run=usual,
        run_most=most,
        repository_month=_least_set(
            config.limits.cost_per_month or 0.0, settings.repository_cost_per_month
        ),
    )


def _least_set(*bounds: float) -> float:
    """The smallest of those that are set; 0: none is."""
    return min((bound for bound in bounds if bound), default=0.0)


def _policy(config: RepoConfig) -> GatePolicy:
    base = GatePolicy()
    return base.model_copy(
        update={
            "forbidden_paths": (*base.forbidden_paths, *config.paths.forbidden),
            "allowed_paths": config.paths.allowed,
            "prove_without_tests": config.prove_without_tests,
        }
    )


def _least_hours(wanted: float | None, most: float) -> float:
    return most if wanted is None else min(wanted, most)


def _least(*bounds: int | None) -> int | None:
    given = [bound for bound in bounds if bound is not None]
    return min(given) if given else None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits in effect for one run; 0: none."""

    at_once: int = 0
    organisation_at_once: int = 0
    repository_at_once: int = 0
    per_day: int = 0
    organisation_per_day: int = 0
    repository_per_day: int | None = None
    """None: no limit; 0: no runs at all, which a repository may ask for."""


@dataclass(frozen=True, slots=True)
class CostLimits:
    """What may be spent, in the operator's currency; 0: no limit."""

    run: float = 0.0
    """By one run."""
    run_most: float = 0.0
    """What a command may raise that to."""
    repository_month: float = 0.0
    """By all runs of the repository in a calendar month."""
