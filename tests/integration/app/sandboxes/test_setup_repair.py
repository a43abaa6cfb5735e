"""A set-up that fails is fixed by the model, kept, and proposed: on the real engine."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from agent.journal.events import SetupTried
from app.runs.trees import environment_event
from app.sandboxes.docker_environments import DockerEnvironments
from app.sandboxes.environment import EnvironmentRequest, SetupRepairer, image_for
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits
from sandbox.setup.prepared_images import prune
from sandbox.spec import SandboxSpec
from tests.support.agent.setup_repair import Scripted, asks
from tests.support.sandboxes.fixtures import tar_of

FILES = {
    "requirements.txt": "??? this is no requirement\n",
    "test_made.py": "import made\n\ndef test_made():\n    assert made.X == 1\n",
}
MADE = "import site; open(site.getsitepackages()[0] + '/made.py', 'w').write('X = 1')"


@pytest.mark.docker
@pytest.mark.timeout(600)
@pytest.mark.long
async def test_a_set_up_is_fixed_once_and_kept_for_the_next_run(
    engine: DockerEngine, tmp_path: Path
) -> None:
    settings = Settings(state_dir=tmp_path / uuid.uuid4().hex, setup_network=False)
    tree = tar_of(FILES, tmp_path / "tree.tar")
    model = Scripted(asks("exit 7"), asks("true"), asks(f'python3 -c "{MADE}"'))
    notes: list[SetupTried] = []
    said: list[str] = []

    async def prepare(repairer: SetupRepairer | None):  # type: ignore[no-untyped-def]
        found = await image_for(
            DockerEnvironments(engine, settings),
            settings,
            tree,
            EnvironmentRequest("o/fixed"),
            run_id="fixed",
            installation=settings.installation,
            progress=said.append,
            repairer=repairer,
        )
        assert found is not None
        return found

    # The second try sets nothing up, so the test's import fails; that is no failure of set-up.
    test = "python3 -c 'import made' || exit 127; python3 -m pytest -q"
    try:
        first = await prepare(SetupRepairer(lambda: model, 5, notes.append, test_command=test))
        assert [(n.number, n.ok) for n in notes] == [(1, False), (2, False), (3, True)]
        assert "exit 7" in notes[0].said
        assert "does not run" in notes[1].said and "No module named 'made'" in notes[1].said
        assert "is no requirement" in model.heard[1].content
        event = environment_event(first)
        assert event.recipe.startswith("setup:\n  - 'python3 -c ")
        assert "requirements.txt" in event.failed[0]

        again = await prepare(None)
        assert (again.image, again.cached, again.failed) == (first.image, True, ())
        box = await engine.open(
            SandboxSpec(again.image, Limits(), "fixed", "test", "", settings.installation), tree
        )
        assert "1 passed" in (await box.run("python3 -m pytest -q")).text
        await box.close()
    finally:
        await engine.sweep((), installation=settings.installation)
        await prune(engine, settings.installation, most_bytes=0, most_days=1)
    assert first.image != BASE_IMAGE
