"""Environments with the toolchains that a project asks for: what is detected, on another base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sandbox.environment.javascript import node_from_npm
from sandbox.environment.npm import NODE_AND_NPM
from sandbox.environment.records import PREFIX, VENV, Environment, Step
from sandbox.environment.versions.available import (
    NODES,
    PYTHONS,
    BaseImage,
    Offers,
    best,
    official_image,
    other_than_used,
    shortfall,
    unmet,
)
from sandbox.environment.versions.records import NAMES, StatedVersion, text_of

_UV = "/tmp/patchwright-uv"  # noqa: S108 - in the sandbox, gone after set-up
_PYTHONS = f"{PREFIX}/pythons"


def provided(
    environment: Environment, stated: Sequence[StatedVersion], offers: Offers
) -> tuple[Environment, ...]:
    """The environment on each base that meets what the project states, best first.

    The last is on the usual base; if that does not meet what binds, it says so in `lacks`. Where
    nothing is known of the base, or it will do, the environment is the only one.
    """
    base = offers.base
    if base is None:
        return (environment,)
    lacking = unmet(stated, base.versions)
    others = [*lacking, *other_than_used(stated, base.versions)]
    if any(one.tool == "node" for one in others) and offers.npm and _uses_node(environment):
        version = best("node", stated, NODES)
        if version is not None:
            own = _with_node(environment, text_of(version))
            rest = tuple(one for one in lacking if one.tool != "node")
            bound = len(rest) < len(lacking)
            plain = () if bound else (replace(environment, lacks=shortfall(rest, base.versions)),)
            return (*_on_bases(own, rest, stated, offers, base), *plain)
    return _on_bases(environment, lacking, stated, offers, base)


def _on_bases(
    environment: Environment,
    lacking: Sequence[StatedVersion],
    stated: Sequence[StatedVersion],
    offers: Offers,
    base: BaseImage,
) -> tuple[Environment, ...]:
    if not lacking:
        return (environment,)
    found = [
        replace(
            environment, base=other.name, source=f"{environment.source}, on {_said(other, stated)}"
        )
        for other in _usable(offers.others, stated)
    ]
    tool = lacking[0].tool
    image = official_image(tool, stated)
    if offers.registry and image:
        found.append(
            replace(
                environment,
                image=image,
                official=True,
                source=f"{environment.source}, on {image}",
            )
        )
    if tool == "python" and offers.python_mirror and (version := best(tool, stated, PYTHONS)):
        found.append(_with_python(environment, text_of(version), offers.python_mirror))
    return (*found, replace(environment, lacks=shortfall(lacking, base.versions)))


def on_used_versions(
    environment: Environment, stated: Sequence[StatedVersion], offers: Offers
) -> Environment | None:
    """The environment on a base with the versions that developers or CI use; None: there is none.

    For where the usual base meets what binds, and the suite runs badly on it all the same.
    """
    base = offers.base
    if base is None or environment.base or environment.image:
        return None
    if not other_than_used(stated, base.versions):
        return None
    for other in _usable(offers.others, stated):
        if not other_than_used(stated, other.versions):
            return replace(
                environment,
                base=other.name,
                source=f"{environment.source}, on {_said(other, stated)}",
            )
    return None


def _usable(others: Sequence[BaseImage], stated: Sequence[StatedVersion]) -> list[BaseImage]:
    """Those that meet what binds, those that meet the rest as well first, then the newest."""
    usable = [other for other in others if not unmet(stated, other.versions)]
    return sorted(
        usable,
        key=lambda other: (
            not other_than_used(stated, other.versions),
            other.versions.get("python", ()),
        ),
        reverse=True,
    )


def _said(base: BaseImage, stated: Sequence[StatedVersion]) -> str:
    """The image by its Python, as it is built, and what else the project wants of it."""
    python = base.versions.get("python")
    wanted = dict.fromkeys(one.tool for one in stated if one.tool != "python")
    others = [
        f"{NAMES[tool]} {text_of(version[:2])}"
        for tool in wanted
        if (version := base.versions.get(tool))
    ]
    more = f" ({', '.join(others)})" if others else ""
    return f"the base image with Python {text_of(python[:2])}{more}" if python else base.name


def _uses_node(environment: Environment) -> bool:
    return any(step in NODE_AND_NPM for step in environment.steps)


def _with_node(environment: Environment, version: str) -> Environment:
    """Node of this major from the npm registry, after the steps that bring npm itself."""
    steps = list(environment.steps)
    at = max(i for i, step in enumerate(steps) if step in NODE_AND_NPM) + 1
    return replace(environment, steps=(*steps[:at], node_from_npm(version), *steps[at:]))


def _with_python(environment: Environment, version: str, mirror: str) -> Environment:
    """The virtual environment made by an interpreter that uv brings from the operator's mirror."""
    install = (
        f"python3 -m venv {_UV} && {_UV}/bin/pip install -q uv && "
        f"UV_PYTHON_INSTALL_DIR={_PYTHONS} {_UV}/bin/uv python install "
        f"--mirror '{mirror}' {version}"
    )
    made = f"{_PYTHONS}/cpython-{version}*/bin/python3 -m venv {VENV}"
    steps = tuple(
        replace(step, command=made) if f"-m venv {VENV}" in step.command else step
        for step in environment.steps
    )
    return replace(
        environment,
        steps=(Step(install, shared=True), *steps),
        source=f"{environment.source}, with Python {version} from the operator's mirror",
    )
