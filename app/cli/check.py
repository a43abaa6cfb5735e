"""`patchwright check`: its command-line options."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.sanitize.terminal import SafeConsole
from app.settings.loading import load


def run_check(
    repository: Annotated[str, typer.Argument(help="A local git repository, or its URL.")],
    test_command: Annotated[
        str, typer.Option(help="How to run the tests; detected by default.")
    ] = "",
    runs: Annotated[
        int, typer.Option(min=1, max=20, help="How often the suite is run, to find flaky tests.")
    ] = 3,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report as JSON here.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write the report as one HTML file here.")
    ] = None,
) -> None:
    """Say whether a repository is ready. Exit 0: ready; 2: not ready; 1: error."""
    from app.check.command import CheckRequest, check
    from app.check.pages import html_page, text_report

    progress = SafeConsole(stderr=True)

    def say(line: str) -> None:
        progress.print(line, markup=False, highlight=False, soft_wrap=True)

    report = asyncio.run(check(CheckRequest(repository, test_command, runs), load(), say))
    if json_file is not None:
        json_file.write_text(report.model_dump_json(indent=2), "utf-8")
    if html_file is not None:
        html_file.write_text(html_page(report), "utf-8")
    SafeConsole().print(text_report(report), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if report.ready else 2)
