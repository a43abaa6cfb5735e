"""The same conversation with `patchwright serve` as it is: a process, Docker, a model by HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.doubles.seeded_policy import FILES, TITLE
from tests.doubles.sglang.server import StandIn
from tests.doubles.sglang.turns import Script
from tests.e2e.conversation_world import REPO, edit, scripts, submit
from tests.e2e.service import Service
from tests.support.serving import serving

pytestmark = [pytest.mark.docker, pytest.mark.slow]

REVIEWED = Script(
    (edit("amount += price\n", "amount = amount + price\n"), submit("[1] Written out.")),
    when="<feedback-",
)


@pytest.mark.long
def test_a_review_continues_the_run_also_when_the_service_is_killed_in_the_middle(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    world = github_world
    files = tmp_path / "files"
    for name, text in FILES.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text)
    world.create_repo(REPO, folder=files, private=True)
    max_ = world.collaborator(REPO, "max")
    max_.call(
        "POST",
        f"/repos/{REPO}/labels",
        {"name": "patchwright", "color": "5319e7", "description": "For Patchwright"},
    )
    with serving(StandIn(scripts(REVIEWED)).app) as model:  # type: ignore[arg-type]
        more = {"PATCHWRIGHT_MODEL": "k2-thinking", "PATCHWRIGHT_MODEL_URL": f"{model}/v1"}
        service = Service(github_server, tmp_path, **more)
        try:
            service.start()
            world.send_webhooks_to(service.webhook_url)
            issue = max_.open_issue(REPO, TITLE, "See the title.")
            max_.comment(REPO, issue, "/patchwright fix")
            [run_id] = service.wait_for(service.runs, 180, "a run")
            service.wait_for_end(run_id)
            [pull] = world.pulls(REPO)
            number = pull["number"]
            comment = {"path": "shop/prices.py", "line": 6, "body": "Write it out."}
            max_.review(REPO, number, "REQUEST_CHANGES", "", [comment])
            before = len(service.events(run_id))
            service.wait_for(
                lambda: any(
                    e["event"]["type"] == "tool_finished" and e["event"]["attempt"] == 2
                    for e in service.events(run_id)[before:]
                ),
                180,
                "the second round to work",
            )
            service.kill()
            service.start()

            def answered() -> bool:
                said = max_.call("GET", f"/repos/{REPO}/pulls/{number}/comments")
                return any(c["user"]["type"] == "Bot" for c in said)

            service.wait_for(answered, 240, "an answer in the thread")
            assert service.runs() == [run_id], "it is the same run"
            assert len(max_.call("GET", f"/repos/{REPO}/pulls/{number}/commits")) == 2
            max_.merge(REPO, number)

            def closed() -> bool:
                phases = [e["event"].get("phase") for e in service.events(run_id)]
                return "merged" in phases

            service.wait_for(closed, 180, "the merge to be recorded")
            branches = [b["name"] for b in max_.call("GET", f"/repos/{REPO}/branches")]
            assert branches == ["main"]
        finally:
            service.stop()
