"""What is left of an image's settings."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.docker.plain_image import (
    DEFAULT_PATH,
    checked_path,
    checked_variables,
    description,
    is_plain,
)

FILES = {
    "Architecture": "amd64",
    "Os": "linux",
    "Created": "2026-01-01T00:00:00Z",
    "RootFS": {"Type": "layers", "Layers": ["sha256:a", "sha256:b"]},
}


@pytest.mark.parametrize(
    "setting",
    [
        {"Volumes": {"/data": {}}},
        {"Healthcheck": {"Test": ["CMD", "id"]}},
        {"OnBuild": ["RUN id"]},
        {"StopSignal": "SIGKILL"},
        {"StopTimeout": 3600},
        {"ExposedPorts": {"80/tcp": {}}},
        {"Shell": ["/evil"]},
        {"NetworkDisabled": True},
        {"Labels": {"traefik.enable": "true"}},
        {"A setting of later engines": {"x": 1}},
    ],
)
def test_an_image_setting_with_an_effect_is_not_plain(setting: dict[str, Any]) -> None:
    config = {"Entrypoint": ["x"], "Cmd": ["y"], "User": "0", "WorkingDir": "/", "Volumes": None}
    assert is_plain({**config, "Labels": {"patchwright.recipe": "1"}})
    assert not is_plain({**config, **setting})


def test_the_description_has_the_layers_and_variables_alone() -> None:
    one = description({**FILES, "Config": {"Volumes": {"/data": {}}}}, {"PATH": "/bin"})
    assert one == description(FILES, {"PATH": "/bin"})
    assert one.id != description(FILES, {"PATH": "/sbin"}).id
    assert b'"config": {"Env": ["PATH=/bin"]}' in one.text
    assert b"Volumes" not in one.text and one.text.count(b"sha256:") == 2


def test_variables_of_toolchains_are_kept_and_no_others() -> None:
    env = [
        *("PATH=/usr/local/cargo/bin:/usr/bin", "RUSTUP_HOME=/usr/local/rustup", "LANG=C.UTF-8"),
        *("JAVA_HOME=/tmp/x", "CARGO_HOME=/a/../b", "GOPATH=$(id)", "LD_PRELOAD=/evil.so"),
        *("BASH_ENV=/evil", "PYTHONPATH=/evil", "NODE_PATH=/evil", "GIT_SSH_COMMAND=x", "HOME=/x"),
    ]
    kept = checked_variables({"Env": env})
    assert kept.pop("PATH").startswith("/usr/local/cargo/bin:/usr/bin:")
    assert kept == {"RUSTUP_HOME": "/usr/local/rustup", "LANG": "C.UTF-8"}


def test_a_path_has_no_folder_that_commands_can_write_to() -> None:
    asked = ".::bin:/workspace/bin:/tmp:/home/x/bin:/opt/x/bin:/a b:/opt/../tmp:/run/x:/opt/x/bin/"
    assert checked_path(asked) == f"/opt/x/bin:{DEFAULT_PATH}"
    assert checked_path("") == DEFAULT_PATH
