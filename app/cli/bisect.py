"""`patchwright bisect`: its command-line options."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.sanitize.terminal import SafeConsole
from app.settings.base import SettingsError
from app.settings.loading import load


def run_bisect(
    path: Annotated[Path, typer.Argument(help="A local git repository.")],
    issue: Annotated[
        Path | None,
        typer.Option(help="Markdown file with the issue: the model writes a reproduction from it."),
    ] = None,
    command: Annotated[
        str, typer.Option(help="A command that fails, in place of an issue; no model is needed.")
    ] = "",
    expect: Annotated[
        str, typer.Option(help="Words that the command's failing output holds.")
    ] = "",
    file: Annotated[
        list[Path] | None,
        typer.Option(help="A file of the checkout that the command needs, put in at each commit."),
    ] = None,
    good: Annotated[
        str, typer.Option(help="A commit at which it worked; looked for by default.")
    ] = "",
    bad: Annotated[str, typer.Option(help="The commit at which it fails.")] = "HEAD",
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Most commits to try.")] = 40,
    minutes: Annotated[float, typer.Option(min=0.1, help="Most minutes to search.")] = 60.0,
    at_once: Annotated[int, typer.Option(min=1, max=32, help="Commits tried side by side.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the whole search as JSON here.")
    ] = None,
) -> None:
    """Find the commit that broke it. Exit 0: found; 2: not for certain; 1: wrong request."""
    from app.bisection.command import BisectRequest, bisect_local
    from app.bisection.text_report import text_report
    from app.cli.fix_request import check_target, read_issue

    if (issue is None) == (not command):
        raise SettingsError("Give either an issue with --issue or a command with --command.")
    if json_file is not None:
        check_target(json_file)
    progress = SafeConsole(stderr=True)

    def say(line: str) -> None:
        progress.print(line, markup=False, highlight=False, soft_wrap=True)

    request = BisectRequest(
        path=path,
        issue=read_issue(issue) if issue is not None else None,
        command=command,
        expected=expect,
        files=_texts(path, file or []),
        bad=bad,
        good=good,
        runs=runs,
        minutes=minutes,
        places=at_once,
    )
    answer = asyncio.run(bisect_local(request, load(), say))
    if json_file is not None:
        json_file.write_text(answer.bisection.model_dump_json(indent=2), "utf-8")
    SafeConsole().print(text_report(answer), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if answer.bisection.finding == "found" else 2)


def _texts(repository: Path, files: list[Path]) -> dict[str, str]:
    """The files' texts by their paths in the repository."""
    found = {}
    for file in files:
        place = file if file.is_absolute() else repository / file
        try:
            name = place.resolve().relative_to(repository.resolve())
            found[name.as_posix()] = place.read_text("utf-8")
        except ValueError:
            raise SettingsError(f"{file} is no text file in {repository}.") from None
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
    return found
