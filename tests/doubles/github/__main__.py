"""The stand-in GitHub as a process of its own: ``python -m tests.doubles.github --port N``."""

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.doubles.github.description.fetch import DescriptionMissing
from tests.doubles.github.server import GHES, GithubServer, Options


def main() -> int:
    """Serve until interrupted; the first line printed is JSON with the URLs and the App's data."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.github", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--root", type=Path, help="folder for the git repositories")
    parser.add_argument("--api-prefix", default=GHES, help="base path of REST; empty for none")
    parser.add_argument("--slug", default="patchwright", help="the App's slug")
    parser.add_argument("--webhook-url", default="", help="where events are delivered")
    parser.add_argument("--webhook-secret", default="", help="made up when not given")
    parser.add_argument("--private-key", type=Path, help="PEM file: read, or written when absent")
    check = "hold all traffic against GitHub's description (default: when it is cached)"
    parser.add_argument("--validate", action=argparse.BooleanOptionalAction, help=check)
    given = parser.parse_args()
    key: Path | None = given.private_key
    options = Options(
        host=given.host,
        port=given.port,
        root=given.root,
        api_prefix=given.api_prefix.rstrip("/"),
        slug=given.slug,
        webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret,
        private_key_pem=key.read_text() if key and key.is_file() else "",
        validate=given.validate,
    )
    try:
        server = GithubServer(options)
    except (OSError, ValueError, DescriptionMissing) as error:
        print(f"the stand-in GitHub could not start: {error}", file=sys.stderr)
        return 1
    if key is not None and not key.is_file():
        key.touch(mode=0o600)
        key.write_text(server.private_key_pem)
    known = {
        "url": server.url,
        "git_url": server.git_url,
        "app_id": server.app_id,
        "bot": server.bot_login,
        "webhook_secret": server.webhook_secret,
    }
    print(json.dumps(known), flush=True)
    # uvicorn ends in good order and then raises the signal again; that shall not skip the end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve()
    except KeyboardInterrupt:
        return 0
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
