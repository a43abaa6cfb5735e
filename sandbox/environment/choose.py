"""The choice of an environment, first to last: settings, devcontainer, Dockerfile, detection.

What the repository's own settings say is done or fails. What is read off other files is a guess:
the next candidate is tried when one fails.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from sandbox.environment import compiled, devcontainer, dockerfile, javascript, python
from sandbox.environment.npm import TOOLS
from sandbox.environment.provide import on_used_versions, provided
from sandbox.environment.records import BIN, LOCKED, VENV, Environment, Resolution, Step, Texts
from sandbox.environment.tree import Tree, read_tree
from sandbox.environment.versions.available import NOT_KNOWN, Offers, shortfall, unmet
from sandbox.environment.versions.records import StatedVersion, Tool
from sandbox.environment.versions.stated import FILES as VERSION_FILES
from sandbox.environment.versions.stated import is_workflow, stated_versions

SETTINGS = ".github/patchwright.yml"
_DOCKERFILES = (".devcontainer/Dockerfile", "Dockerfile", "Dockerfile.dev", "docker/Dockerfile")
_LANGUAGES = (
    ("Python", python.MANIFESTS, python.steps),
    ("JavaScript", javascript.MANIFESTS, javascript.steps),
    ("", compiled.MANIFESTS, compiled.steps),
)
_MANIFESTS = {name for _, names, _ in _LANGUAGES for name in names}
_ROOTS = _MANIFESTS - {"Makefile", "makefile", "GNUmakefile", "tox.ini", ".npmrc", "setup.cfg"}
_SKIPPED = {"node_modules", "vendor", "third_party", "testdata", "fixtures", "examples", "docs"} | {
    "test",
    "tests",
    "__tests__",
    "spec",
    "samples",
    "templates",
    "benchmarks",
}
_ASIDE = re.compile(
    r"(?:^|/)(?:_[^/]*|doc|bench(?:mark)?(?:es|ing)?|perf(?:ormance)?(?:[-_][^/]*)?|web-?site|site|demos?"
    r"|gh-pages|playgrounds?|tutorials?|storybook)(?:/|$)"
)
"""Projects that tests of the project above them need nothing of."""
CI = ".github/workflows"
BARE = "the base image"
"""The last environment's source: nothing of the repository's is set up in it."""
_MOST_PROJECTS = 8
_MENTION = re.compile(r"(?<![\w.@+-])[\w.@+-]{1,100}(?:/[\w.@+-]{1,100}){1,100}")
"""Bounded, and begun only where a word begins: comments of strangers are searched with it."""
PATH = (
    "PATH",
    f"{VENV}/bin:{BIN}:{TOOLS}/bin:/opt/patchwright/home/.local/bin:"
    "/opt/patchwright/home/.cargo/bin:$PATH",
)


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """What `.github/patchwright.yml` says about the environment."""

    image: str = ""
    dockerfile: str = ""
    """Path of a Dockerfile in the repository."""
    setup: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether it says anything."""
        return bool(self.image or self.dockerfile or self.setup)


@dataclass(frozen=True, slots=True)
class TreeReading:
    """What a choice is made from."""

    tree: Tree
    near: tuple[str, ...]
    """Paths of the tree that the issue names."""
    stated: tuple[StatedVersion, ...]
    """Versions of toolchains; none are looked for where the settings say everything."""
    may_miss_plugins: bool
    """Whether pytest's configuration could ask for what pytest itself has not."""


def read_for_choice(
    tree: Path, settings: EnvironmentSettings = EnvironmentSettings(), about: str = ""
) -> TreeReading:
    """Read a tree's tar file; `about` is the issue's text. Raises `SandboxError`; blocks."""
    read = read_tree(tree, partial(files_to_read, settings=settings))
    near = mentioned_files(about, read.files)
    stated = () if settings.any else project_versions(read.files, read.texts, near)
    return TreeReading(read, near, stated, python.may_miss_plugins(read.texts))


def candidates(
    files: Sequence[str],
    texts: Texts,
    settings: EnvironmentSettings = EnvironmentSettings(),
    near: Sequence[str] = (),
    offers: Offers = NOT_KNOWN,
    committed: str = "",
) -> tuple[Environment, ...]:
    """The environments to try, best first; the last is always the bare base image.

    `files` are all paths of the tree, `texts` the contents of those that `files_to_read` names.
    `near` are paths that the bug is about, such as a failing test: in a repository of several
    projects theirs is set up. `offers` says which toolchains can be had. `committed`: the day of
    the commit (2024-03-01), so that an old one can have the dependencies of its time; empty: it is
    new, or not known.
    """
    if settings.any:
        return (_from_settings(texts, settings),)
    found: list[Environment] = []
    detected = _detect(files, texts, near)
    for read in (_devcontainer, _dockerfile):
        environment = read(texts, detected[0] if detected else None)
        if environment is not None:
            found.append(environment)
    stated = project_versions(files, texts, near)
    base = offers.base.versions if offers.base else {}
    lacks = shortfall(unmet(stated, base), base)
    bare = Environment(BARE, variables=_variables(), lacks=lacks)
    if not detected:
        # There is nothing to install, but an interpreter may be wanted.
        alone = Environment("detection", variables=_variables())
        return (*found, *provided(alone, stated, offers)[:-1], bare)
    found += [other for one in detected for other in provided(one, stated, offers)]
    resolutions = [(Resolution(locked=False), "the newest versions, not the locked ones")]
    if committed:
        resolutions.append(
            (Resolution(locked=False, as_of=committed), f"versions as of {committed}")
        )
    resolutions.append((Resolution(locked=False, one_by_one=True), "as far as it can be installed"))
    for resolution, said in resolutions:
        for other in _detect(files, texts, near, resolution)[:1]:
            named = replace(other, source=f"{other.source}, {said}", in_part=resolution.one_by_one)
            found.append(provided(named, stated, offers)[0])
    if used := on_used_versions(detected[0], stated, offers):
        found.append(used)
    # What comes to the same commands is tried once.
    recipes: dict[object, Environment] = {}
    for one in found:
        recipes.setdefault((one.base, one.image, one.steps), one)
    return (*recipes.values(), bare)


def project_versions(
    files: Sequence[str], texts: Texts, near: Sequence[str] = ()
) -> tuple[StatedVersion, ...]:
    """What the projects that are set up state of their toolchains' versions, binding first."""
    found: list[StatedVersion] = []
    for folder in projects(files, near) or (".",):
        own = _manifests_in(folder, texts)
        found += stated_versions(own)
        if folder != ".":
            continue
        found += _used_by_ci(texts)
    return tuple(sorted(dict.fromkeys(found), key=lambda one: not one.binding))


def files_to_read(
    files: Sequence[str], settings: EnvironmentSettings = EnvironmentSettings()
) -> tuple[str, ...]:
    """The files whose contents the choice needs."""
    special = {*devcontainer.PATHS, *_DOCKERFILES, settings.dockerfile}
    return tuple(
        f
        for f in files
        if f in special
        or is_workflow(f)
        or (PurePosixPath(f).name in VERSION_FILES and not _SKIPPED & set(f.split("/")[:-1]))
        or (PurePosixPath(f).name in _MANIFESTS and not _SKIPPED & set(f.split("/")[:-1]))
        or (f.startswith(".devcontainer/") and "ockerfile" in f)
        or ("requirements" in f and python.is_requirements("/".join(f.split("/")[-2:])))
        or python.is_requirements(PurePosixPath(f).name)
    )


def mentioned_files(text: str, files: Sequence[str]) -> tuple[str, ...]:
    """Files of the tree that a text names, such as an issue with a traceback."""
    there = set(files)
    found = dict.fromkeys(
        name
        for word in _MENTION.findall(text)
        for name in _path_suffixes(word.strip("."))
        if name in there
    )
    return tuple(found)


def _path_suffixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[i:]) for i in range(len(parts) - 1)]


def projects(files: Sequence[str], near: Sequence[str] = ()) -> tuple[str, ...]:
    """The folders to set up ("." is the root): the root's project and those nearest to `near`.

    Without those, all others, least deep first: a root that holds nothing but settings of tools is
    no reason to leave them out.
    """
    folders = {
        str(PurePosixPath(f).parent)
        for f in files
        if PurePosixPath(f).name in _ROOTS or python.is_requirements(PurePosixPath(f).name)
    }
    lists = {
        str(PurePosixPath(f).parent.parent)
        for f in files
        if "requirements/" in f and python.is_requirements("/".join(f.split("/")[-2:]))
    }
    folders = {f for f in folders | lists if not _SKIPPED & set(f.split("/"))}
    if any(f in _MANIFESTS for f in files):
        folders.add(".")
    nearest = [folder for path in near if (folder := _nearest_folder(path, folders))]
    # Nobody knows which one it is about: each needs what its tests depend on.
    others = [] if nearest else sorted(folders - {"."}, key=lambda f: (f.count("/"), f))
    if "." in folders:
        others = [folder for folder in others if not _ASIDE.search(folder)]
    chosen = list(dict.fromkeys([*(["."] if "." in folders else []), *nearest, *others]))
    return tuple(chosen[:_MOST_PROJECTS])


def _used_by_ci(texts: Texts) -> list[StatedVersion]:
    """Of each tool, the versions that any workflow uses: which one runs the tests is not known."""
    by_tool: dict[Tool, list[str]] = {}
    for one in stated_versions({name: text for name, text in texts.items() if is_workflow(name)}):
        by_tool.setdefault(one.tool, []).extend(one.wanted.split(" || "))
    return [
        StatedVersion(tool, " || ".join(dict.fromkeys(words)), CI, binding=False)
        for tool, words in by_tool.items()
    ]


def _nearest_folder(path: str, folders: set[str]) -> str:
    for parent in PurePosixPath(path).parents:
        if str(parent) in folders:
            return str(parent)
    return ""


def _from_settings(texts: Texts, settings: EnvironmentSettings) -> Environment:
    """Commands of the settings run as root, as in a Dockerfile, and may install packages."""
    commands = tuple(Step(command, root=True) for command in settings.setup)
    if settings.image or not settings.dockerfile:
        venv = () if settings.image else (Step(create_venv()),)
        steps = (*venv, *commands) if commands else ()
        return Environment(
            SETTINGS,
            settings.image,
            steps,
            _variables(),
            explicit=True,
        )
    text = texts.get(settings.dockerfile)
    if text is None:
        raise dockerfile.NotUsable(f"{SETTINGS} names {settings.dockerfile}, which does not exist")
    build = dockerfile.parse(text)
    return Environment(
        SETTINGS,
        build.image,
        (*build.steps, *commands),
        (*build.variables, *_variables()),
        explicit=True,
    )


def create_venv() -> str:
    """The base image's Python takes no packages from pip; what it has stays visible."""
    return f"python3 -m venv --system-site-packages {VENV}"


def _devcontainer(texts: Texts, detected: Environment | None) -> Environment | None:
    for path in devcontainer.PATHS:
        if path not in texts:
            continue
        try:
            container = devcontainer.parse(texts[path], path)
            build = dockerfile.Build(container.image, (), ())
            if container.dockerfile:
                build = dockerfile.parse(texts.get(container.dockerfile, ""), container.target)
        except (devcontainer.NotUsable, dockerfile.NotUsable):
            continue
        own = tuple(Step(command, root=True) for command in container.commands)
        return Environment(
            path,
            build.image,
            (*build.steps, *(own or (detected.steps if detected else ()))),
            (*build.variables, *_variables(), *container.variables),
        )
    return None


def _dockerfile(texts: Texts, detected: Environment | None) -> Environment | None:
    for path in _DOCKERFILES[1:]:
        if path not in texts:
            continue
        try:
            build = dockerfile.parse(texts[path])
        except dockerfile.NotUsable:
            continue
        # An image of a service seldom has what its tests need.
        more = detected.steps if detected else ()
        return Environment(
            path,
            build.image,
            (*build.steps, *more),
            (*build.variables, *_variables()),
        )
    return None


def _detect(
    files: Sequence[str],
    texts: Texts,
    near: Sequence[str],
    resolution: Resolution = LOCKED,
) -> list[Environment]:
    """Everything that the manifests show; failing that, the first language alone."""
    by_language: dict[str, list[Step]] = {}
    manifests: list[str] = []
    for folder in projects(files, near):
        names, own = _within(folder, files), _manifests_in(folder, texts)
        if _is_maven_module(folder, texts):
            own.pop("pom.xml", None)
            names = tuple(name for name in names if name != "pom.xml")
        for language, wanted_names, steps in _LANGUAGES:
            found = steps(names, own, folder, resolution)
            if found:
                by_language.setdefault(language, []).extend(found)
                manifests += [
                    _join(folder, n) for n in own if n in wanted_names or n.endswith(".txt")
                ]
    if not by_language:
        return []
    every = [step for steps in by_language.values() for step in steps]
    first = next(iter(by_language.values()))
    sets = [every] if len(by_language) == 1 else [every, first]
    named = ", ".join(dict.fromkeys(m for m in manifests))
    return [
        Environment(f"detection ({named})", "", tuple(dict.fromkeys(s)), _variables()) for s in sets
    ]


def _is_maven_module(folder: str, texts: Texts) -> bool:
    """Whether a project above this folder brings the dependencies of its modules with its own."""
    above = PurePosixPath(folder).parents if folder != "." else ()
    return any(_join(str(parent), "pom.xml") in texts for parent in above)


def _variables() -> tuple[tuple[str, str], ...]:
    return (PATH, *compiled.VARIABLES)


def _within(folder: str, files: Sequence[str]) -> tuple[str, ...]:
    if folder == ".":
        return tuple(files)
    return tuple(f.removeprefix(folder + "/") for f in files if f.startswith(folder + "/"))


def _manifests_in(folder: str, texts: Texts) -> dict[str, str]:
    """The manifests of one project: those in its folder itself, and its requirements/."""
    names = _within(folder, tuple(texts))
    return {
        name: texts[_join(folder, name)]
        for name in names
        if "/" not in name or name.startswith("requirements/")
    }


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"
