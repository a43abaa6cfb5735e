"""`patchwright prove` and `patchwright proof`: their command-line options."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.sanitize.terminal import SafeConsole
from app.settings.base import SettingsError
from app.settings.loading import load


def run_prove(
    path: Annotated[Path, typer.Argument(help="A local git repository.")],
    base: Annotated[
        str, typer.Option(help="The commit or branch that the change is to be merged into.")
    ],
    head: Annotated[str, typer.Option(help="The commit or branch with the change.")] = "HEAD",
    issue: Annotated[
        Path | None,
        typer.Option(help="Markdown file with what the change is about; by default its commits."),
    ] = None,
    test_command: Annotated[
        str, typer.Option(help="How to run the tests; detected by default.")
    ] = "",
    strength: Annotated[
        int,
        typer.Option(
            min=0,
            max=50,
            help="Small variants of the change that its evidence is tried on, for at most a "
            "minute; the report says how many it tells apart.",
        ),
    ] = 0,
    junit: Annotated[Path | None, typer.Option(help="Write the proof as JUnit XML here.")] = None,
    sarif_file: Annotated[
        Path | None, typer.Option("--sarif", help="Write what to look at as SARIF 2.1.0 here.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the whole proof as JSON here.")
    ] = None,
) -> None:
    """Prove anybody's change by its own tests. Exit 0: proven; 2: not; 1: wrong request."""
    from app.cli.fix_request import check_target, read_issue
    from app.proving.command import ProveRequest, prove_local
    from app.proving.junit_report import junit_xml
    from app.proving.sarif_report import sarif
    from app.proving.text_report import text_report

    for target in (junit, sarif_file, json_file):
        if target is not None:
            check_target(target)
    told = read_issue(issue) if issue is not None else None
    progress = SafeConsole(stderr=True)

    def say(line: str) -> None:
        progress.print(line, markup=False, highlight=False, soft_wrap=True)

    request = ProveRequest(path, base, head, told, test_command, strength)
    proof = asyncio.run(prove_local(request, load(), say))
    if json_file is not None:
        json_file.write_text(proof.model_dump_json(indent=2), "utf-8")
    if junit is not None:
        junit.write_bytes(junit_xml(proof))
    if sarif_file is not None:
        sarif_file.write_text(sarif(proof), "utf-8")
    SafeConsole().print(text_report(proof), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if proof.verdict == "proven" else 2)


proof_cli = typer.Typer(help="Read proof blocks.", no_args_is_help=True)


@proof_cli.callback()
def _proof() -> None:
    """Read proof blocks."""


@proof_cli.command()
def read(
    file: Annotated[
        str,
        typer.Argument(
            help="Description or summary in Markdown, GitHub's answer about a pull request or "
            "check run, or a block's JSON; `-`: standard input."
        ),
    ],
    head: Annotated[
        str, typer.Option(help="The commit that is there now; else GitHub's answer says it.")
    ] = "",
) -> None:
    """Check a proof block and print its JSON.

    Exit 0: proven; 2: not, or of another commit; 1: no valid block.
    """
    from app.proof_block.reading import read as read_block
    from app.proof_block.text import BlockInvalid

    try:
        found = read_block(_text(file), head)
    except BlockInvalid as error:
        raise SettingsError(str(error)) from None
    told = found.block.model_dump_json(indent=2)
    SafeConsole().print(told, markup=False, highlight=False, soft_wrap=True)
    if found.is_stale:
        said = f"It is of {found.block.head}, and the commit is {found.now_at} now."
        SafeConsole(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
    proven = found.block.verdict == "proven" and not found.is_stale
    raise typer.Exit(0 if proven else 2)


def _text(file: str) -> str:
    """Raises `SettingsError`."""
    from app.proof_block.reading import MOST_BYTES

    try:
        if file == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise SettingsError(f"{file} has more than {MOST_BYTES:,} bytes.")
        return data.decode()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8.") from None
