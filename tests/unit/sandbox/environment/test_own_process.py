"""Files that keep a reader busy for ever, or fill its memory, stop only a process of its own."""

from __future__ import annotations

import pytest

from sandbox.environment.choose import EnvironmentSettings, candidates
from sandbox.environment.dockerfile import NotUsable
from sandbox.environment.own_process import in_own_process
from sandbox.errors import SandboxError

_MANY = "\n".join(
    f'g{i}=[{{include-group="g{i + 1}"}},{{include-group="g{i + 1}"}}]' for i in range(40)
)
ENDLESS = {
    "pyproject.toml": f'[build-system]\n[dependency-groups]\ntest=[{{include-group="g0"}}]\n{_MANY}'
}
HUGE = {
    "Dockerfile": "FROM a\nARG A0="
    + "x" * 1000
    + "\n"
    + "".join(f"ARG A{i}={f'$A{i - 1}' * 10}\n" for i in range(1, 12))
}
QUOTES = {".devcontainer.json": '{"' + '\\"' * 1_000_000}


@pytest.mark.parametrize("files", [ENDLESS, HUGE, QUOTES], ids=["endless", "huge", "quotes"])
async def test_what_cannot_be_read_within_the_limits_is_an_error(files: dict[str, str]) -> None:
    with pytest.raises(SandboxError, match="cannot be read"):
        await in_own_process(candidates, tuple(files), files, seconds=1, memory=1 << 30)


async def test_what_is_found_and_what_is_refused_comes_back() -> None:
    files = {"requirements.txt": "pytest\n", "pyproject.toml": "[build-system]\n"}
    found = await in_own_process(candidates, tuple(files), files)
    assert found == candidates(tuple(files), files)
    missing = EnvironmentSettings(dockerfile="Dockerfile")
    with pytest.raises(NotUsable, match="does not exist"):
        await in_own_process(candidates, (), {}, missing, errors=(NotUsable,))
