"""`python -m app` is the `patchwright` command."""

from app.cli.main import main

main()
