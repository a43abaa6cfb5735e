"""`python -m app` is the `patchwright` command."""

from app.cli import main

main()
