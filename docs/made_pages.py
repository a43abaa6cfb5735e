"""The pages that are made from the program: writes them, or with `--check` says which are stale."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from app.proof_block import schema as proof_block
from app.repo_config.schema import json_schema
from app.settings.reference import MADE, repository_file_page, settings_page

DOCS = Path(__file__).resolve().parent


def pages() -> dict[str, str]:
    """File names, and what stands in them."""
    schema = json_schema()
    proof_schema = json.dumps(proof_block.json_schema(), indent=2, ensure_ascii=False) + "\n"
    return {
        "settings.md": settings_page(),
        "repository-file.md": repository_file_page(schema),
        "patchwright.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        "patchwright-proof.schema.json": proof_schema,
        "../app/proof_block/patchwright-proof.schema.json": proof_schema,
        "commands.md": commands_page(),
    }


def commands_page() -> str:
    """Every command with its options, as Typer writes them. Raises `CalledProcessError`."""
    made = subprocess.run(
        (sys.executable, "-m", "typer", "app.cli.main", "utils", "docs", "--name", "patchwright"),
        cwd=DOCS.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return f"{MADE}\n{made.stdout.strip()}\n".replace("# `patchwright`", "# Commands", 1)


def main() -> None:
    """Write the pages, or look at them."""
    stale = [
        name
        for name, text in pages().items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text("utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"not as the program says: {', '.join(stale)}; run `make reference`")
        return
    for name, text in pages().items():
        (DOCS / name).write_text(text, "utf-8")
    print("renewed:", ", ".join(stale) or "nothing, all were as the program says")


if __name__ == "__main__":
    main()
