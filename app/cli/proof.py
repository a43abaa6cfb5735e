"""`patchwright proof`: reads proof blocks, whoever made them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.sanitize.terminal import SafeConsole
from app.settings.base import SettingsError

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
    print(found.block.model_dump_json(indent=2))
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
