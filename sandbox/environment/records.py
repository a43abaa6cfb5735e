"""What preparing an environment takes: an image to start from and the steps on top of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

PREFIX = "/opt/patchwright"
"""Where set-up installs: outside of every place that a run's sandbox mounts again."""
VENV = f"{PREFIX}/python"
BIN = f"{PREFIX}/bin"

Texts = Mapping[str, str]
"""Contents of the manifests, by path."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a set-up."""

    command: str
    root: bool = False
    """As root of the container, to install packages of the distribution; else as the sandbox's
    own user."""
    folder: str = "."
    """Where, below the repository's root."""
    shared: bool = False
    """Uses nothing of the repository: its result may serve other repositories too."""
    faster: str = ""
    """Does the same sooner, and is tried before `command`, which has the last word; empty: no."""
    plain: str = ""
    """What a person would write for it, on the base image and as root; empty: the command."""
    optional: bool = False
    """The rest can do without it."""

    @property
    def script(self) -> str:
        """What a shell is to run."""
        script = f"{{ {self.faster}\n}} || {{ {self.command}\n}}" if self.faster else self.command
        return f"{{ {script}\n}} || true" if self.optional else script


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which versions of the dependencies are installed."""

    locked: bool = True
    """Those of the lock file, where there is one; else what the manifests permit."""
    as_of: str = ""
    """Only what was published before this date (2024-03-01); empty: the newest."""
    one_by_one: bool = False
    """A list that cannot be installed as a whole is installed as far as it can be: a formatter that
    no longer builds is no reason to have none of what the tests need."""


LOCKED = Resolution()


@dataclass(frozen=True, slots=True)
class Environment:
    """One way to make the environment."""

    source: str
    """Where it was read, for people: ".github/patchwright.yml", "Dockerfile", …"""
    image: str = ""
    """The image to start from, as the repository names it; empty: the base image."""
    steps: tuple[Step, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    """Environment variables from then on; a value may use earlier ones as `$NAME`."""
    explicit: bool = False
    """Asked for by the repository's own settings: nothing else is tried when it fails."""
    parent: str = ""
    """The prepared image to start from. Only `on` and `with_more` set it, never what a repository
    says."""
    base: str = ""
    """Another of Patchwright's own base images to start from; empty: the usual one. Never what a
    repository says."""
    official: bool = False
    """Whether `image` was chosen by a table of ours, not by the repository: it is asked for only
    while its registry answers at once."""
    in_part: bool = False
    """Whether it may be made though some of its dependencies cannot be installed: tried only where
    no other could be made."""
    lacks: str = ""
    """What the project asks for and this does not have, in a sentence; empty: nothing."""

    @property
    def is_toolchain(self) -> bool:
        """Whether nothing of the repository is used: the result may serve every repository."""
        return not (self.image or self.parent) and all(step.shared for step in self.steps)

    @property
    def toolchain(self) -> Environment | None:
        """The part that uses nothing of the repository; None: it has no such part to split off.

        Nothing in it is optional: what all repositories start from is whole.
        """
        shared = tuple(replace(step, optional=False) for step in self.steps if step.shared)
        if not shared or self.image or self.is_toolchain:
            return None
        return Environment("toolchain", steps=shared, base=self.base)

    @property
    def least_toolchain(self) -> Environment | None:
        """`toolchain` without what is optional; None: there is nothing such, or nothing else."""
        least = tuple(step for step in self.steps if step.shared and not step.optional)
        toolchain = self.toolchain
        if toolchain is None or not least or len(least) == len(toolchain.steps):
            return None
        return replace(toolchain, steps=least)

    def on(self, image: str) -> Environment:
        """The rest, on top of the image that `toolchain` gave."""
        return replace(self, parent=image, steps=tuple(s for s in self.steps if not s.shared))

    def with_more(self, image: str, steps: tuple[Step, ...]) -> Environment:
        """Further steps, on top of the image that this environment gave."""
        return replace(self, image="", base="", official=False, parent=image, steps=steps)

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing to do: the base image will do as it is."""
        return not (self.image or self.parent or self.base or self.steps)


_FORM = "in a volume"
"""How results are kept: those that were kept otherwise are made anew."""


def recipe_hash(environment: Environment, image_id: str, tree_id: str, scope: str) -> str:
    """A name for the result: same base image, tree and recipe give the same hash.

    Set-up runs code of the repository, a manifest's build script for one, which may read any file:
    so the whole tree counts, and no other `scope`, a repository or its branches of less trust, may
    ever start from what it left. `image_id` is the base image's own hash.
    """
    recipe = [
        _FORM,
        scope,
        image_id,
        [[step.script, step.root, step.folder] for step in environment.steps],
        [list(pair) for pair in environment.variables],
        tree_id,
    ]
    return hashlib.sha256(json.dumps(recipe).encode("utf-8", "surrogatepass")).hexdigest()[:32]


APT = "apt-get update && apt-get install -y --no-install-recommends"
"""How a person begins to install packages of the distribution, as root."""


def apt(packages: Sequence[str], unless: str = "") -> Step:
    """Install packages of the distribution, if the command `unless` is not there.

    Images of Debian's family and Alpine are known; others must bring what they need.
    """
    names = " ".join(packages)
    install = (
        "if command -v apt-get >/dev/null; then "
        # Slim images miss the folder of manual pages, without which a JDK cannot be configured.
        "export DEBIAN_FRONTEND=noninteractive; mkdir -p /usr/share/man/man1; "
        "apt-get -o Acquire::Retries=2 update -qq && "
        "apt-get install -y -qq --no-install-recommends "
        f"-o Dpkg::Options::=--force-unsafe-io {names} && "
        "rm -rf /var/lib/apt/lists/*; "
        f"elif command -v apk >/dev/null; then apk add --no-cache {names}; "
        f"else echo 'This image has neither apt-get nor apk to install: {names}' >&2; exit 1; fi"
    )
    command = f"command -v {unless} >/dev/null || {{ {install}; }}" if unless else install
    return Step(command, root=True, shared=True, plain=f"{APT} {names}")
