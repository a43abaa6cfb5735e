"""The App's calls to GitHub, validated once by Prism as well: `make check-prism`.

A whole conversation (label, pull request, review, merge, commands, a failed check, missed
deliveries, the manifest) through Prism's proxy. Ends with status 1 when Prism found a request or an
answer that GitHub's description forbids.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from app.github.client import GithubForge
from app.github.records import CheckReport
from app.intake.redelivery import recover
from app.repo_config.schema import RepoConfig, Triggers
from app.settings.schema import Settings
from app.web.setup.manifest import exchange
from tests.doubles.github.api import find
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.description.prism import prism_before
from tests.doubles.github.server import GithubServer, Options
from tests.doubles.github.state import Urls
from tests.doubles.seeded_policy import FILES
from tests.doubles.sglang.turns import Script
from tests.e2e.conversation_world import REPO, Story, edit, scripts, submit

REVIEWED = Script(
    (edit("amount += price\n", "amount = amount + price\n"), submit("[1] Done.\n[2] Because.")),
    when="<feedback-",
)


@dataclass(frozen=True)
class Behind(Urls):
    """The stand-in's addresses, with the API's at the proxy."""

    proxy: str = ""

    @property
    def api(self) -> str:
        """The proxy's address."""
        return self.proxy


def conversation(story: Story, world: GithubWorld) -> None:
    """All that people can have the App do."""
    story.repository(files={**FILES, ".github/CODEOWNERS": "* @max @nobody\n"})
    max_ = story.person("max")
    world.send_webhooks_to("http://127.0.0.1:9/webhooks/github")
    issue = story.labelled()
    with story.serving():
        asyncio.run(recover(story.app, story.intake()))
        story.durable.flush_outbox()
        run = story.done()
        number = story.pull()["number"]
        comment = {"path": "shop/prices.py", "line": 6, "body": "Write it out."}
        max_.review(REPO, number, "REQUEST_CHANGES", "Why so?", [comment])
        story.done(2)
        story.settled()
        world.ci(REPO, story.pull()["head"]["ref"], "failure", log="E501 line too long\n")
        story.settled()
        max_.comment(REPO, issue, "/patchwright explain")
        max_.merge(REPO, number)
        story.settled()
        assert story.store.get_run(run.id).closed == "merged"
        world.ci(REPO, "main", "failure", log="it fails\n")
        story.settled()
        asyncio.run(the_rest(story, number))


async def the_rest(story: Story, number: int) -> None:
    """Calls of the forge that no story above needs."""
    forge = GithubForge(story.app, story.store.list_runs().runs[0].installation_id, REPO)
    head = story.pull()["head"]["sha"]
    await forge.file("README.md")
    await forge.file(".github/patchwright.yml", repository="acme/.github")
    await forge.add_labels(number, ["patchwright"])
    await forge.request_reviewers(number, ["max"], ["team"])
    await forge.changed_paths(number)
    await forge.open_pulls(10)
    await forge.commit_author(head)
    assert [await forge.is_collaborator(name) for name in ("max", "nobody-here")] == [True, False]
    for state in ("in_progress", "completed"):
        done = state == "completed"
        report = CheckReport(
            external_id="again",
            name="Patchwright",
            head_sha=head,
            title=state,
            summary="-",
            status="completed" if done else "in_progress",
            conclusion="success" if done else None,
        )
        await forge.put_check(report)
    await forge.close()


def manifest(server: GithubServer, world: GithubWorld, folder: Path) -> None:
    """The exchange of a code for an App."""
    settings = Settings(state_dir=folder / "setup", github_api_url=server.url)
    code = world.admin("manifest", manifest={"name": "Made", "url": "http://x", "public": False})
    asyncio.run(exchange(settings, str(code["code"])))


def operation(call: str) -> str:
    """The operation of a call, by its template where there is one."""
    method, _, path = call.partition(" ")
    known = find(method, path)
    return f"{method} {known[0].template}" if known else call


def cannot_judge(op: str, complaint: str) -> bool:
    """What Prism has no means for: parameters with a slash in them, and redirects, which it follows
    itself."""
    slashes = op.endswith(("{ref}", "{path}", "{basehead}")) and "route not found" in complaint
    return slashes or (op.endswith("/logs") and "302" in complaint)


def main() -> int:
    """Go through it all and tell what Prism said."""
    with (
        tempfile.TemporaryDirectory(prefix="patchwright-prism-") as name,
        GithubServer(Options(api_prefix="")) as server,
        GithubWorld(server.admin_url) as world,
        prism_before(server.git_url, Path(name)) as prism,
    ):
        # People keep to the stand-in itself; the App is led through Prism.
        server.world_state.urls = Behind(server.git_url, "", prism.url)
        config = RepoConfig(triggers=Triggers(failed_check=True))
        story = Story(server, world, Path(name), policy=scripts(REVIEWED), config=config)
        conversation(story, world)
        manifest(server, world, Path(name))
        seen = Counter(operation(call) for call in prism.calls())
        said = [(operation(call), complaint) for call, complaint in prism.violations()]
    beyond = {op for op, complaint in said if cannot_judge(op, complaint)}
    wrong = [f"{op}: {text}" for op, text in said if op not in beyond] + server.violations
    for op, count in sorted(seen.items()):
        print(f"{count:5} {op}{'   (not judged)' if op in beyond else ''}")
    print(f"{seen.total()} calls of {len(seen)} operations; {len(wrong)} violations")
    for line in dict.fromkeys(wrong):
        print(f"VIOLATION {line}")
    return 1 if wrong or len(seen) <= len(beyond) else 0


if __name__ == "__main__":
    sys.exit(main())
