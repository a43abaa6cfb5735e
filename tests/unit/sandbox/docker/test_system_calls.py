"""Which system calls pass, and on which engines that is ours to say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.docker.system_calls import profile, takes_profile, with_own_profile

SECCOMP = {"SecurityOptions": ["name=apparmor", "name=seccomp,profile=default"]}


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for rule in json.loads(profile())["syscalls"] if name in rule["names"]]


@pytest.mark.parametrize(
    "name", ["io_uring_setup", "bpf", "mount", "userfaultfd", "keyctl", "setns", "a_call_of_2030"]
)
def test_what_is_not_on_the_list_is_refused(name: str) -> None:
    assert json.loads(profile())["defaultAction"] == "SCMP_ACT_ERRNO"
    assert not [rule for rule in rules(name) if rule["action"] == "SCMP_ACT_ALLOW"]


@pytest.mark.parametrize("name", ["openat", "execve", "futex", "ptrace", "statx"])
def test_what_programs_need_passes_whatever_its_arguments(name: str) -> None:
    (rule,) = rules(name)
    assert rule["action"] == "SCMP_ACT_ALLOW" and not rule["args"]


def test_some_pass_with_some_arguments() -> None:
    assert [rule["args"][0]["value"] for rule in rules("socket")] == [1, 2, 10, 16]
    (clone,) = rules("clone")
    new_user = 0x10000000
    assert clone["args"][0]["value"] & new_user and clone["args"][0]["op"] == "SCMP_CMP_MASKED_EQ"


def test_the_profile_takes_the_place_of_another() -> None:
    options = {"image": "x", "security_opt": ["no-new-privileges", "seccomp=unconfined"]}
    made = with_own_profile(options)
    assert made["security_opt"] == ["no-new-privileges", f"seccomp={profile()}"]
    assert options["security_opt"][1] == "seccomp=unconfined"


@pytest.mark.parametrize(
    ("info", "engine", "takes"),
    [
        (SECCOMP, "Engine", True),
        (SECCOMP, "Podman Engine", False),
        ({"SecurityOptions": ["name=apparmor"]}, "Engine", False),
        ({"SecurityOptions": None}, "Engine", False),
    ],
)
def test_engines_that_take_no_profile_keep_theirs(
    info: dict[str, Any], engine: str, takes: bool
) -> None:
    assert takes_profile(info, {"Components": [{"Name": engine}]}) is takes
    assert takes_profile(info, {}) is (takes or engine.startswith("Podman"))
