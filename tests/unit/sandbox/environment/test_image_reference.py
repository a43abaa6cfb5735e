"""Which names of images a repository may use."""

from __future__ import annotations

import pytest

from sandbox.environment.image_reference import ImageRefused, parse_reference, permitted_reference

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("index.docker.io/acme/tools", "docker.io/acme/tools:latest"),
        ("ghcr.io/acme/a_b.c--d:V1", "ghcr.io/acme/a_b.c--d:V1"),
        ("Localhost:5000/x", "localhost:5000/x:latest"),
        (f"quay.io/acme/x:1@{DIGEST}", f"quay.io/acme/x@{DIGEST}"),
        # An engine never takes a full form for an id.
        ("8:latest", "docker.io/library/8:latest"),
        ("docker.io/library/ada", "docker.io/library/ada:latest"),
    ],
)
def test_a_reference_is_given_in_its_full_form(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize(
    "text",
    ["8", "F", "deadbeef", "0a" * 32, DIGEST, "sha256:8", "sha256", "sha256@x", f"sha256:{DIGEST}"],
)
def test_an_id_or_its_beginning_is_refused(text: str) -> None:
    with pytest.raises(ImageRefused, match="an image id or an abbreviated one"):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "A/b", "x:", "x@", "x@8", "x@sha256:8", "/x", "a//b", "-x", "x:1:2", "é",
     "a/../b", "x\n", "${X}", "host.test/", "host.test:99999999/x", "a/" * 200 + "b"],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ImageRefused):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "patchwright/prepared:551014b9cc5c5a368e22106ed028282f",
        "patchwright/sandbox-base:1",
        "docker.io/patchwright/prepared",
        "registry-1.docker.io/patchwright/x/y",
    ],
)
def test_images_of_this_program_are_refused_unless_the_operator_lists_them(text: str) -> None:
    with pytest.raises(ImageRefused, match="repositories may not use"):
        permitted_reference(text, ("docker.io",))
    assert permitted_reference(text, (), (text,))[1]


def test_other_registries_are_refused() -> None:
    with pytest.raises(ImageRefused, match=r"evil\.test, which is not one"):
        permitted_reference("evil.test/x", ("docker.io", "ghcr.io"))
    assert not permitted_reference("ghcr.io/x", ("docker.io", "ghcr.io"))[1]
    assert permitted_reference("python", (), ("docker.io/library/python:latest",))[1]
