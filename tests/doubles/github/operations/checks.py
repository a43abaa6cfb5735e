"""Operations on check runs, check suites and commit statuses."""

from datetime import UTC, datetime

from tests.doubles.github import repository as git
from tests.doubles.github.operations.operation import (
    Answer,
    Call,
    GithubError,
    Table,
    invalid,
    not_found,
    paged,
)
from tests.doubles.github.operations.repos import resolved
from tests.doubles.github.shapes import basic, checks
from tests.doubles.github.state import CheckRun, CheckSuite, Json, Repo, Status, World

table = Table()
_READ, _WRITE = "checks:read", "checks:write"
_RUN = "/repos/{owner}/{repo}/check-runs/{check_run_id}"
_SUITE = "/repos/{owner}/{repo}/check-suites/{check_suite_id}"
_REF = "/repos/{owner}/{repo}/commits/{ref}"
_APP = ("installation",)
_MAX_ANNOTATIONS = 50
_MAX_BYTES = 65535
_MAX_OF_ANNOTATION = {"title": 255, "message": 64 * 1024, "raw_details": 64 * 1024}
"""https://docs.github.com/rest/checks/runs#create-a-check-run"""


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def suite_for(world: World, repo: Repo, sha: str, by_app: bool = True) -> CheckSuite:
    """The suite on a commit of the App or of the CI, made with its first run."""
    for suite in repo.check_suites:
        if suite.head_sha == sha and suite.by_app == by_app:
            return suite
    suite = CheckSuite(world.next_id(), sha, world.now(), by_app)
    repo.check_suites.append(suite)
    return suite


def _apply(call: Call, run: CheckRun) -> None:
    body, now = call.body, call.world.now()
    output = body.get("output") or {}
    fresh = output.get("annotations") or []
    if len(fresh) > _MAX_ANNOTATIONS:
        many = f"No more than {_MAX_ANNOTATIONS} items are allowed; {len(fresh)} were supplied."
        raise GithubError(422, f"Invalid request.\n\n{many}")
    for name in ("summary", "text"):
        # Bytes, where the documentation says characters (github/docs#35252).
        if len((output.get(name) or "").encode()) > _MAX_BYTES:
            said = f"{name} exceeds a maximum bytesize of {_MAX_BYTES}"
            raise invalid("CheckRun", name, "custom", said)
    for one in fresh:
        for name, most in _MAX_OF_ANNOTATION.items():
            if len((one.get(name) or "").encode()) > most:
                said = f"{name} exceeds a maximum bytesize of {most}"
                raise invalid("CheckAnnotation", name, "custom", said)
    kept = run.output.get("annotations", [])
    run.output = {**run.output, **output, "annotations": [*kept, *fresh]}
    run.name = body.get("name", run.name)
    run.external_id = body.get("external_id", run.external_id)
    run.details_url = body.get("details_url", run.details_url)
    run.started_at = _moment(body.get("started_at")) or run.started_at or now
    run.status = body.get("status", run.status)
    if body.get("conclusion"):
        run.status, run.conclusion = "completed", body["conclusion"]
        run.completed_at = _moment(body.get("completed_at")) or now
    elif run.status == "completed" and run.conclusion is None:
        raise invalid("CheckRun", "conclusion", "missing_field")
    elif run.status != "completed":
        run.conclusion = run.completed_at = None


def _emit(call: Call, run: CheckRun, action: str) -> None:
    suite = checks.check_suite(call.world, call.repo, run.suite)
    body = checks.check_run(call.world, call.repo, run) | {"check_suite": suite}
    call.emit("check_run", action, check_run=body)


@table.add("checks/create", "POST /repos/{owner}/{repo}/check-runs", needs=_WRITE, by=_APP)
def create_run(call: Call) -> Answer:
    """A check run on a commit that exists."""
    sha = call.body["head_sha"]
    if git.resolve(call.repo.git, sha) != sha:
        raise GithubError(422, f"No commit found for SHA: {sha}")
    run = CheckRun(
        id=call.world.next_id(),
        suite=suite_for(call.world, call.repo, sha),
        name=call.body["name"],
        head_sha=sha,
        status="queued",
        conclusion=None,
        started_at=None,
        completed_at=None,
        external_id="",
        details_url=None,
        output={},
        by_app=True,
    )
    _apply(call, run)
    call.repo.check_runs[run.id] = run
    _emit(call, run, "completed" if run.status == "completed" else "created")
    return Answer(201, checks.check_run(call.world, call.repo, run))


def _run(call: Call) -> CheckRun:
    run = call.repo.check_runs.get(call.number("check_run_id"))
    if run is None:
        raise not_found()
    return run


@table.add("checks/update", f"PATCH {_RUN}", needs=_WRITE, by=_APP)
def update_run(call: Call) -> Answer:
    """Change it; annotations are added to those that it has."""
    run = _run(call)
    if not run.by_app:
        raise GithubError(403, "A check run can only be modified by the App that made it.")
    before = run.status
    _apply(call, run)
    if run.status == "completed" and before != "completed":
        _emit(call, run, "completed")
    return Answer(200, checks.check_run(call.world, call.repo, run))


@table.add("checks/get", f"GET {_RUN}", needs=_READ)
def get_run(call: Call) -> Answer:
    """One check run."""
    return Answer(200, checks.check_run(call.world, call.repo, _run(call)))


@table.add("checks/list-annotations", f"GET {_RUN}/annotations", needs=_READ)
def annotations(call: Call) -> Answer:
    """The annotations of a check run."""
    run = _run(call)
    page = basic.repo_page(call.world, call.repo)
    blanks: Json = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    listed = [
        {**blanks, **given, "blob_href": f"{page}/blob/{run.head_sha}/{given['path']}"}
        for given in run.output.get("annotations", [])
    ]
    return paged(call, listed)


@table.add("checks/rerequest-run", f"POST {_RUN}/rerequest", needs=_WRITE, role="write")
def rerequest(call: Call) -> Answer:
    """Somebody presses the re-run button."""
    run = _run(call)
    if run.status != "completed":
        raise GithubError(422, "This check run is not rerequestable")
    _emit(call, run, "rerequested")
    return Answer(201, {})


def _runs(call: Call, chosen: list[CheckRun]) -> Answer:
    query = call.query
    chosen = [run for run in chosen if query.get("check_name", run.name) == run.name]
    if query.get("filter", "latest") == "latest":  # of each App and name
        newest = {(run.by_app, run.external_id, run.name): run for run in chosen}
        chosen = list(newest.values())
    found = [
        checks.check_run(call.world, call.repo, run)
        for run in chosen
        if query.get("status", run.status) == run.status
    ]
    return paged(call, found, "check_runs")


@table.add("checks/list-for-ref", f"GET {_REF}/check-runs", needs=_READ)
def runs_for_ref(call: Call) -> Answer:
    """The check runs on a commit."""
    sha = resolved(call, call.path["ref"])
    found = [
        run
        for run in call.repo.check_runs.values()
        if run.head_sha == sha and call.world.is_listed(run.started_at or call.world.now())
    ]
    return _runs(call, found)


@table.add("checks/list-for-suite", f"GET {_SUITE}/check-runs", needs=_READ)
def runs_for_suite(call: Call) -> Answer:
    """The check runs of a suite."""
    suite = _suite(call)
    return _runs(call, [run for run in call.repo.check_runs.values() if run.suite is suite])


def _suite(call: Call) -> CheckSuite:
    wanted = call.number("check_suite_id")
    for suite in call.repo.check_suites:
        if suite.id == wanted:
            return suite
    raise not_found()


@table.add("checks/get-suite", f"GET {_SUITE}", needs=_READ)
def get_suite(call: Call) -> Answer:
    """One suite."""
    return Answer(200, checks.check_suite_full(call.world, call.repo, _suite(call)))


@table.add("checks/create-suite", "POST /repos/{owner}/{repo}/check-suites", needs=_WRITE, by=_APP)
def create_suite(call: Call) -> Answer:
    """A suite on a commit; 200 when it was there."""
    sha = resolved(call, call.body["head_sha"])
    known = any(suite.head_sha == sha for suite in call.repo.check_suites)
    suite = suite_for(call.world, call.repo, sha)
    body = checks.check_suite_full(call.world, call.repo, suite)
    return Answer(200 if known else 201, body)


@table.add("checks/list-suites-for-ref", f"GET {_REF}/check-suites", needs=_READ)
def suites_for_ref(call: Call) -> Answer:
    """The suites on a commit."""
    sha = resolved(call, call.path["ref"])
    found = [
        checks.check_suite_full(call.world, call.repo, suite)
        for suite in call.repo.check_suites
        if suite.head_sha == sha
    ]
    return paged(call, found, "check_suites")


@table.add(
    "actions/download-job-logs-for-workflow-run",
    "GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs",
    needs="actions:read",
)
def job_logs(call: Call) -> Answer:
    """Where the log of a job lies; a job of GitHub Actions has the id of its check run."""
    run = call.repo.check_runs.get(call.number("job_id"))
    if run is None or run.by_app:
        raise not_found()
    return Answer(302, "", {"Location": f"{call.world.urls.web}/_logs/{call.repo.id}/{run.id}"})


@table.add(
    "repos/create-commit-status",
    "POST /repos/{owner}/{repo}/statuses/{sha}",
    needs="statuses:write",
    role="write",
)
def create_status(call: Call) -> Answer:
    """A status on a commit."""
    given = Status(
        id=call.world.next_id(),
        sha=resolved(call, call.path["sha"]),
        state=call.body["state"],
        context=call.body.get("context", "default"),
        description=call.body.get("description"),
        target_url=call.body.get("target_url"),
        creator=call.user,
        created_at=call.world.now(),
    )
    call.repo.statuses.append(given)
    return Answer(201, checks.status(call.world, call.repo, given))


@table.add("repos/list-commit-statuses-for-ref", f"GET {_REF}/statuses", needs="statuses:read")
def list_statuses(call: Call) -> Answer:
    """All statuses on a commit, newest first."""
    sha = resolved(call, call.path["ref"])
    found = [given for given in reversed(call.repo.statuses) if given.sha == sha]
    return paged(call, [checks.status(call.world, call.repo, given) for given in found])


@table.add("repos/get-combined-status-for-ref", f"GET {_REF}/status", needs="statuses:read")
def combined_status(call: Call) -> Answer:
    """The newest status of each context, and what they say together."""
    sha = resolved(call, call.path["ref"])
    newest = {given.context: given for given in call.repo.statuses if given.sha == sha}
    states = {given.state for given in newest.values()}
    bad = bool(states & {"failure", "error"})
    state = "failure" if bad else "success" if states == {"success"} else "pending"
    url = f"{basic.repo_url(call.world, call.repo)}/commits/{sha}"
    return Answer(
        200,
        {
            "state": state,
            "sha": sha,
            "total_count": len(newest),
            "statuses": [checks.status(call.world, call.repo, given) for given in newest.values()],
            "repository": basic.repository(call.world, call.repo),
            "commit_url": url,
            "url": f"{url}/status",
        },
    )
