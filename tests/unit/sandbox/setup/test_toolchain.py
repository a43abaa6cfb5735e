"""The part of a set-up that all repositories share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.environment.records import Environment, Step
from sandbox.setup.prepare import ImageKey, prepare
from sandbox.setup.records import Progress, SetupFailed

FETCH = Step("fetch a tool", shared=True, optional=True)
MAKE = Step("make a place", shared=True)
OWN = Step("install")


@dataclass
class Images:
    """Prepared images without an engine: a list of what was made."""

    fails: Callable[[str], bool]
    made: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def base(self, environment: Environment) -> str:
        return environment.parent or "base"

    async def content_id(self, image: str) -> str:
        return image

    async def find(self, key: ImageKey) -> str:
        return key.recipe if key.recipe in self.made else ""

    async def make(
        self,
        environment: Environment,
        base: str,
        _tree: Path | None,
        key: ImageKey,
        _progress: Progress,
    ) -> str:
        for step in environment.steps:
            if self.fails(step.command) and not step.optional:
                raise SetupFailed(environment, step.command, "exit 1", "", ())
        self.made[key.recipe] = (*self.made.get(base, ()), *(s.command for s in environment.steps))
        return key.recipe


async def prepared(images: Images, repository: str) -> tuple[str, ...]:
    found = Environment("a test", steps=(MAKE, FETCH, OWN))
    done = await prepare(
        images, Path("tree"), "t", [found], base="base", scope=repository, owner="o", waits_s=()
    )
    return images.made[done.image]


async def test_one_without_what_could_not_be_had_serves_nobody_who_can_have_it() -> None:
    away = {FETCH.command}
    images = Images(lambda command: command in away)
    assert await prepared(images, "a") == (MAKE.command, OWN.command)
    away.clear()
    assert await prepared(images, "b") == (MAKE.command, FETCH.command, OWN.command)


async def test_what_is_needed_fails_the_set_up() -> None:
    with pytest.raises(SetupFailed, match="make a place"):
        await prepared(Images(lambda command: command == MAKE.command), "a")
