"""The `patchwright` command: a subcommand parses arguments, calls a function, sets the status."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import traceback
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text
from typer.exceptions import TyperException

from agent.errors import AgentError
from app.cli.bisect import run_bisect
from app.cli.capacity import run_capacity
from app.cli.check import run_check
from app.cli.evaluation import run_eval
from app.cli.export import run_export
from app.cli.operations import of_runs, operations, organisations_cli
from app.cli.prove import proof_cli, run_prove
from app.sanitize.terminal import SafeConsole, visible
from app.settings.base import SettingsError
from app.settings.loading import load
from app.settings.schema import Settings
from sandbox.errors import SandboxError

cli = typer.Typer(
    name="patchwright",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
runs_cli = typer.Typer(help="Inspect and control runs.", no_args_is_help=True)
images_cli = typer.Typer(help="Manage sandbox images.", no_args_is_help=True)
runs_cli.add_typer(of_runs)
cli.add_typer(operations)
cli.add_typer(runs_cli, name="runs")
cli.add_typer(images_cli, name="images")
cli.add_typer(organisations_cli, name="organisations")
cli.add_typer(proof_cli, name="proof")
cli.command("bisect")(run_bisect)
cli.command("check")(run_check)
cli.command("capacity")(run_capacity)
cli.command("eval")(run_eval)
cli.command("prove")(run_prove)
runs_cli.command("export")(run_export)

out = SafeConsole()
err = SafeConsole(stderr=True)

EXIT_ERROR = 1
EXIT_NOT_PROVEN = 2


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"patchwright {version('patchwright')}", highlight=False)
        raise typer.Exit()


@cli.callback()
def _every_command(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """An autonomous debugging agent: an issue becomes a patch that carries its proof."""


class UsageError(Exception):
    """The request cannot be carried out; the message says why in one sentence."""


@cli.command()
def fix(
    path: Annotated[Path | None, typer.Argument(help="A local git repository.")] = None,
    issue: Annotated[
        Path | None, typer.Option(help="Markdown file; its first line is the title.")
    ] = None,
    model: Annotated[str, typer.Option(help="`offline` or a model profile.")] = "",
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write the proven patch here.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a JSON report here.")] = None,
    test_command: Annotated[
        str, typer.Option(help="How to run the tests; detected by default.")
    ] = "",
    attempts: Annotated[int, typer.Option(min=1, max=16, help="Attempts in parallel.")] = 1,
    log: Annotated[
        list[Path] | None, typer.Option(help="Log file for the issue; may be repeated.")
    ] = None,
    resume: Annotated[
        str, typer.Option(help="Go on with a run that broke off, instead of PATH and --issue.")
    ] = "",
) -> None:
    """Debug a local repository without changing it. Exit 0: proven fix; 2: none; 1: error."""
    from app.cli.fix import run_fix
    from app.cli.fix_request import FixRequest

    settings = _settings(**({"model": model} if model else {}))
    request = FixRequest(
        path, issue, out_file, report, test_command, attempts, tuple(log or ()), resume
    )
    proven = run(run_fix(request, settings, err))
    raise typer.Exit(0 if proven else EXIT_NOT_PROVEN)


@cli.command()
def serve(
    worker: Annotated[
        bool, typer.Option(help="Also execute runs; if not, `patchwright worker` does elsewhere.")
    ] = True,
) -> None:
    """Run the webhook service and a worker in one process."""
    from app.server.serve import serve as run_service

    run_service(_settings(), worker=worker)


@cli.command("setup-app")
def setup_app() -> None:
    """Set up the GitHub App in a browser; ends when its keys are saved."""
    from app.settings.access import with_operator_token
    from app.storage.locks import state_lock
    from app.telemetry import logs
    from app.web.setup.server import serve_until_set_up

    settings = _settings()
    if settings.github_app_id:
        raise UsageError(
            f"App {settings.github_app_id} is already set up; to set up another one, set "
            "PATCHWRIGHT_OPERATOR_TOKEN, run `patchwright serve` and open /setup with that token"
        )
    logs.configure("warning", settings.log_format)
    own = settings.secret("operator_token")
    settings = with_operator_token(settings)
    # A token that the operator chose is known to them; one made just now is not.
    shown = "… (the operator token)" if own else settings.secret("operator_token")
    out.print(
        f"Open {settings.base_url}/setup?token={shown} in a browser.",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    with state_lock(settings.state_dir):
        app = serve_until_set_up(settings)
    out.print(f"App {app.slug} is set up. Install it: {app.html_url}", highlight=False)
    out.print("Then run `patchwright serve`.", highlight=False)


@cli.command()
def doctor(
    model: Annotated[bool, typer.Option("--model", help="Check only the model server.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Attack the sandboxes and report what was contained.")
    ] = False,
    tools: Annotated[
        bool, typer.Option("--tools", help="List the MCP servers' tools, and which runs may use.")
    ] = False,
) -> None:
    """Check engine, image, model and GitHub; each line says ok or what to do."""
    if sandbox:
        from app.cli.doctor import print_attacks

        raise typer.Exit(0 if asyncio.run(print_attacks(_settings(), out)) else EXIT_ERROR)
    if tools:
        from app.mcp.report import print_servers

        raise typer.Exit(0 if run(print_servers(_settings(), out)) else EXIT_ERROR)
    from app.cli.doctor import check_host, check_model

    findings = asyncio.run((check_model if model else check_host)(_settings()))
    for finding in findings:
        mark = "[green]ok[/]  " if finding.ok else "[red]not ok[/]"
        out.print(f"{mark} {finding.name}: ", end="")
        out.print(finding.text, markup=False, highlight=False)
    raise typer.Exit(0 if all(f.ok for f in findings) else EXIT_ERROR)


@cli.command()
def notify(
    channel: Annotated[
        str, typer.Argument(help="A channel of the file about notifications; all by default.")
    ] = "",
) -> None:
    """Send a test notification to each channel, and say which of them took it."""
    from app.notifications.command import send_tests

    raise typer.Exit(0 if asyncio.run(send_tests(_settings(), channel, out)) else EXIT_ERROR)


@cli.command()
def demo(
    repository: Annotated[
        Path | None, typer.Option(help="Folder with repo/ and issue.md; else the built-in one.")
    ] = None,
    keep: Annotated[
        bool, typer.Option(help="Keep the services running until you press Enter.")
    ] = False,
) -> None:
    """Turn a labelled issue into a pull request on this machine, with a stand-in for GitHub."""
    from app.cli.demo import run_demo

    raise typer.Exit(0 if asyncio.run(run_demo(repository, out, keep=keep)) else EXIT_NOT_PROVEN)


@cli.command("settings")
def show_settings(
    repo_schema: Annotated[
        bool,
        typer.Option("--repo-schema", help="Print the JSON Schema of .github/patchwright.yml."),
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference page instead, without values.")
    ] = False,
) -> None:
    """Print every setting with its value and description; secrets are masked."""
    from app.repo_config.schema import json_schema
    from app.settings.loading import lines
    from app.settings.reference import repository_file_page, sections, settings_page

    if markdown:
        sys.stdout.write(repository_file_page(json_schema()) if repo_schema else settings_page())
        return
    if repo_schema:
        sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
        return
    shown = {line.name: line for line in lines(_settings())}
    for heading, names in sections():
        out.print(f"\n[underline]{heading}[/]")
        for line in (shown[name] for name in names):
            out.print(f"[bold]{line.variable}[/] = ", end="")
            out.print(line.value, markup=False, highlight=False, soft_wrap=True)
            out.print(Padding(Text(line.description), (0, 0, 0, 4), expand=False))


@runs_cli.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of runs.")] = 50,
) -> None:
    """List the latest runs."""
    from app.cli.runs import print_runs

    print_runs(_settings(), out, limit)


@runs_cli.command("show")
def show_run(
    run_id: Annotated[str, typer.Argument(help="Id as shown by `patchwright runs list`.")],
) -> None:
    """Print a run's journal."""
    from app.cli.runs import print_run

    if not print_run(_settings(), out, run_id):
        raise UsageError(f"there is no run {run_id}; `patchwright runs list` shows all runs")


@images_cli.command("build")
def build_image(
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Build from Debian packages, without an image registry."),
    ] = False,
    python: Annotated[
        str,
        typer.Option(
            help="Build another base image with this version of Python, for repositories that "
            "need it; without a registry 3.9, 3.11 or 3.13."
        ),
    ] = "",
) -> None:
    """Build the sandbox base image unless it exists."""
    from sandbox.docker.engine import DockerEngine
    from sandbox.images.base_image import build

    async def run() -> str:
        engine = DockerEngine(_settings().docker_url)
        try:
            return await build(
                engine, offline=True if offline else None, progress=err.print, python=python
            )
        finally:
            await engine.close()

    out.print(asyncio.run(run()), highlight=False)


@images_cli.command("list")
def list_images() -> None:
    """List prepared images, the most recently used first."""
    from app.cli.images import print_images

    asyncio.run(print_images(_settings(), out))


@images_cli.command("prune")
def prune_images(
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Remove all images that no container uses, not only old or surplus ones."
        ),
    ] = False,
) -> None:
    """Remove prepared images that are old or surplus; they are rebuilt when needed."""
    from app.cli.images import prune_images as prune

    asyncio.run(prune(_settings(), out, everything=everything))


def _settings(**overrides: object) -> Settings:
    return load(**overrides)


def main() -> None:
    """Entry point; every expected error is one message and exit status 1."""
    sys.excepthook = _print_traceback
    try:
        # Typer would exit with 2 on wrong usage, which here means that there is no proven fix.
        sys.exit(cli(standalone_mode=False))
    except TyperException as error:
        err.print(f"[red]error:[/] {escape(error.format_message())}", highlight=False)
        sys.exit(EXIT_ERROR)
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted")
        sys.exit(130)
    except Exception as error:
        message = _error_message(error)
        if not message:
            raise
        err.print(f"[red]error:[/] {escape(message)}", highlight=False)
        sys.exit(EXIT_ERROR)


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """As Python's own, with what others wrote made harmless to a terminal."""
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, trace))))


def _error_message(error: Exception) -> str:
    """The message of an expected error, for the person at the terminal; empty for a bug of ours."""
    from sqlalchemy.exc import SQLAlchemyError

    from app.storage.outage import driver_message, is_unavailable

    if isinstance(error, _expected_errors()):
        return str(error)
    if isinstance(error, SQLAlchemyError) and is_unavailable(error):
        reason = driver_message(error)
        return f"the database does not respond ({reason}); start it or correct its address"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return ""


def _expected_errors() -> tuple[type[Exception], ...]:
    """Errors whose messages are meant for the person at the terminal."""
    from app.cli.demo import DemoFailed
    from app.cli.fix_request import BadRequest
    from app.evaluation.folder import FolderRefused
    from app.evaluation.history import NoHistory
    from app.export.exporter import ExportRefused
    from app.git.process import GitError
    from app.github.errors import ForgeError
    from app.operations.backup import BackupError
    from app.operations.run_control import NotPossible
    from app.web.setup.server import NotSetUp

    return (
        *(UsageError, SettingsError, SandboxError, AgentError),
        *(FolderRefused, NoHistory, ExportRefused),
        *(ForgeError, GitError, BadRequest, DemoFailed, NotSetUp),
        *(BackupError, NotPossible),
    )


T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` that treats SIGTERM like Ctrl-C. Raises `KeyboardInterrupt` on both."""

    async def stoppable() -> T:
        loop, doing = asyncio.get_running_loop(), asyncio.current_task()
        if doing is not None:
            loop.add_signal_handler(signal.SIGTERM, doing.cancel)
        return await work

    try:
        return asyncio.run(stoppable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
