"""Python projects: which packages to install, by the manifests of every usual tool."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from sandbox.environment.records import LOCKED, PREFIX, VENV, Resolution, Step, Texts, apt

LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
CONDA = ("environment.yml", "environment.yaml")
MANIFESTS = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "pytest.ini",
    "noxfile.py",
    "Pipfile",
    *CONDA,
    *LOCKS,
)

_FOR_TESTS = ("test", "tests", "testing", "dev", "devel", "develop", "development", "ci", "all")
_COMPILES = re.compile(
    r"ext_modules|Extension\(|cythonize|meson|maturin|scikit.build|setuptools.rust"
)
_PIP = "pip install --disable-pip-version-check -q"
_TOOL = "/tmp/patchwright-tool"  # noqa: S108 - in the sandbox, gone after set-up
_UV_HOME = f"{PREFIX}/uv"
_UV = f"{_UV_HOME}/bin/uv"
"""Not in a run's PATH: a project's tests find what its developers would have."""
_BRING_UV = f"[ -x {_UV} ] || {VENV}/bin/python3 -m {_PIP} --target {_UV_HOME} uv"
UV = Step(_BRING_UV, shared=True, optional=True)
"""Fills the virtual environment several times as fast as pip, which has the last word where uv is
not to be had or refuses something."""
WITH_UV = "pip install uv && "
"""How a person begins what uv installs into the environment that is first in the PATH."""
_PIP_SAYS = "/tmp/patchwright-pip-says"  # noqa: S108 - in the sandbox, gone after set-up
_NO_OWN_INDEX = (
    f"[ -e {_PIP_SAYS} ] || {VENV}/bin/python3 -m pip config list >{_PIP_SAYS} 2>/dev/null; "
    f'! grep -Eiq "(index-url|find-links|constraint)=|no-index=\'[^0]" {_PIP_SAYS}'
)
"""uv reads no configuration of pip (https://docs.astral.sh/uv/pip/compatibility/): where an image
or a Dockerfile names an index of its own, uv would ask PyPI for packages that are only there.
`PIP_NO_INDEX=0`, which a set-up on a prepared image has, names none."""
MAKE_VENV = Step(f"[ -x {VENV}/bin/python3 ] || python3 -m venv {VENV}", shared=True)


def is_requirements(name: str) -> bool:
    """Whether a path below the project's folder is a list of requirements for use or tests."""
    if not name.endswith(".txt") or name.count("/") > 1:
        return False
    path = PurePosixPath(name)
    if name.count("/") == 1 and path.parent.name != "requirements":
        return False
    words = re.split(r"[-_.]", path.stem.lower())
    if path.parent.name == "requirements":
        return words[0] in (*_FOR_TESTS, "base", "main", "requirements")
    known = {"requirements", "requirement", *_FOR_TESTS}
    return "requirements" in words and set(words) <= known


def steps(
    names: Sequence[str], texts: Texts, folder: str, resolution: Resolution = LOCKED
) -> tuple[Step, ...]:
    """The steps for a project whose files are `names`; none when there is nothing to install.

    `names` are paths below the project's folder; `texts` holds the manifests by those names.
    """
    install = _install(set(names), texts, resolution)
    if not install:
        return ()
    headers = [apt(("python3-dev",))] if _COMPILES.search("\n".join(texts.values())) else []
    have = "python3 -c 'import pytest' 2>/dev/null || "
    runner = _installing("pytest coverage", resolution, unless=have)
    return (
        *headers,
        MAKE_VENV,
        UV,
        *(replace(step, folder=folder) for step in install),
        runner,
    )


def may_miss_plugins(texts: Texts) -> bool:
    """Whether pytest's configuration at the root could ask for what pytest itself has not."""
    options = _pytest_options(texts, _toml(texts.get("pyproject.toml", "")))
    return bool({"addopts", "required_plugins", *_PLUGIN_OF_SETTING} & set(options))


def venv_with(requirements: Sequence[str], before: Sequence[Step]) -> tuple[Step, ...]:
    """Steps that install further distributions, under the same date as the steps `before`.

    Where none of those made a virtual environment, the base image's own packages stay visible.
    """
    earlier = "\n".join(step.command for step in before)
    dates = re.findall(r"--exclude-newer (\d{4}-\d\d-\d\d)", earlier)
    resolution = Resolution(as_of=dates[-1] if dates else "")
    install = _installing(shlex.join(requirements), resolution)
    if VENV in earlier:
        return (install,)
    return (Step(f"python3 -m venv --system-site-packages {VENV}"), install)


def venv_without(distributions: Sequence[str]) -> tuple[Step, ...]:
    """Steps that remove distributions from the virtual environment."""
    remove = f"{VENV}/bin/python3 -m pip uninstall -q -y {shlex.join(distributions)}"
    return (Step(remove),)


def _installing(
    arguments: str, resolution: Resolution, *, unless: str = "", otherwise: str = ""
) -> Step:
    """A step that installs into the virtual environment; `otherwise` follows where that fails.

    uv can be told a date; pip cannot.
    """
    install = f"{_UV} pip install -q --compile-bytecode --python {VENV}/bin/python3"
    uv = f"{{ {_NO_OWN_INDEX}; }} && {install}"
    if resolution.as_of:
        dated = f"{uv} --exclude-newer {resolution.as_of} {arguments}"
        asked = f"uv pip install --python python3 --exclude-newer {resolution.as_of} {arguments}"
        return Step(
            f"{unless}{{ {{ {_BRING_UV}; }} && {dated}; }}{otherwise}",
            plain=f"{WITH_UV}{asked}{otherwise.replace(_PIP, 'pip install')}",
        )
    return Step(
        f"{unless}{_PIP} {arguments}{otherwise}",
        faster=f"{unless}{uv} {arguments}",
        plain=f"pip install {arguments}{otherwise.replace(_PIP, 'pip install')}",
    )


def _install(names: set[str], texts: Texts, resolution: Resolution) -> list[Step]:
    project = _toml(texts.get("pyproject.toml", ""))
    if not resolution.locked:
        names = names - set(LOCKS)
    if "uv.lock" in names:
        # Not exactly what the lock names: another project's packages may be there already.
        sync = "sync --frozen --all-extras --all-groups --inexact"
        # The environment's own interpreter: `.python-version` may name one that is not there,
        # though `requires-python` permits this one.
        settings = (
            f"UV_PYTHON_DOWNLOADS=never UV_PYTHON={VENV}/bin/python3 VIRTUAL_ENV={VENV} "
            "UV_COMPILE_BYTECODE=1"
        )
        first = "UV_PROJECT_ENVIRONMENT=$(python3 -c 'import sys; print(sys.prefix)')"
        return [
            Step(
                f"{{ {_BRING_UV}; }} && {settings} {_UV} {sync} --active",
                plain=f"{WITH_UV}{first} uv {sync} --python python3",
            )
        ]
    if "poetry.lock" in names:
        sync = "poetry install --no-interaction --all-extras"
        return [Step(_with_tool("poetry", f"VIRTUAL_ENV={VENV} {sync}"))]
    if "pdm.lock" in names:
        sync = f"pdm use -f {VENV} && pdm sync -G :all --no-self && {_PIP} -e ."
        return [Step(_with_tool("pdm", f"export PDM_IGNORE_SAVED_PYTHON=1; {sync}"))]
    lists = sorted(name for name in names if is_requirements(name))
    if resolution.one_by_one and _tox(texts.get("tox.ini", "")):
        # What developers use besides is less needed than what the tests' own environment names.
        lists = [name for name in lists if not _OF_DEVELOPERS.search(name)]
    wanted: list[Step] = []
    if lists:
        alone = f" || {_line_by_line(lists)}" if resolution.one_by_one else ""
        named_lists = " ".join(f"-r {shlex.quote(name)}" for name in lists)
        wanted.append(_installing(named_lists, resolution, otherwise=alone))
    extras: list[str] = []
    if _is_package(names, texts, project):
        extras = _test_groups(_table(project, "project", "optional-dependencies"))
        extras = extras or _test_groups(_setup_cfg_extras(texts.get("setup.cfg", "")))
        named = _tox_extras(texts.get("tox.ini", ""))
        extras = extras or named or _test_groups(_setup_py_extras(texts.get("setup.py", "")))
        extras = list(dict.fromkeys([*extras, *named]))
        suffix = f"[{','.join(extras)}]" if extras else ""
        wanted.append(_installing(f"-e {shlex.quote('.' + suffix)}", resolution))
    loose = _separate_requirements(project, _is_package(names, texts, project))
    loose += _tox(texts.get("tox.ini", ""))
    loose += _pipfile(texts.get("Pipfile", ""))
    loose += _plugins(texts, project)
    if loose:
        words = shlex.join(dict.fromkeys(loose))
        alone = _each_alone(words) if resolution.one_by_one else ""
        wanted.append(_installing(words, resolution, otherwise=alone))
    guessed = _nox(texts.get("noxfile.py", ""))
    # A conda environment is often all that its developers use: only where nothing else says what
    # the tests need.
    if not lists and not extras and not _tox(texts.get("tox.ini", "")):
        guessed += _conda(next((texts[name] for name in CONDA if name in texts), ""))
    if guessed:
        # Names that PyPI may not know: one that fails is no reason to have none of the others.
        words = shlex.join(dict.fromkeys(guessed))
        wanted.append(_installing(words, resolution, otherwise=_each_alone(words)))
    return wanted


_OF_DEVELOPERS = re.compile(r"(?:^|[-_./])dev(?:el|elop|elopment)?(?:[-_.]|$)")


def _each_alone(words: str) -> str:
    return f' || for one in {words}; do {_PIP} "$one" || true; done'


def _line_by_line(lists: Sequence[str]) -> str:
    """The requirements of some lists, each by itself, those left out that cannot be installed."""
    plain = f"sed -E 's/(^|[[:space:]])#.*//' {shlex.join(lists)} | grep -E '^[A-Za-z0-9]'"
    return f'{plain} | while IFS= read -r one; do {_PIP} "$one" </dev/null || true; done'


def _with_tool(tool: str, command: str) -> str:
    """A tool that is needed for set-up only has an environment of its own, left out later."""
    make = f"python3 -m venv {_TOOL} && {_TOOL}/bin/{_PIP} {tool}"
    return (
        f"{{ [ -x {_TOOL}/bin/{tool} ] || {{ {make}; }}; }} && PATH={_TOOL}/bin:$PATH && {command}"
    )


def _is_package(names: set[str], texts: Texts, project: dict[str, Any]) -> bool:
    """Whether there is something to install; settings of tools alone are no package."""
    if "build-system" in project or "setup.py" in names:
        return True
    if _table(project, "tool", "poetry"):
        return True
    return "[metadata]" in texts.get("setup.cfg", "") or "[options]" in texts.get("setup.cfg", "")


def _separate_requirements(project: dict[str, Any], is_package: bool) -> list[str]:
    """Requirements that no installation of the package brings: groups, bare dependencies."""
    groups = _table(project, "dependency-groups")
    found = [r for name in _test_groups(groups) for r in _group(groups, name, ())]
    if not is_package:
        found += _strings(_table(project, "project").get("dependencies"))
        extras = _table(project, "project", "optional-dependencies")
        found += [r for name in _test_groups(extras) for r in _strings(extras[name])]
    tool = _table(project, "tool")
    found += _strings(_table(tool, "uv").get("dev-dependencies"))
    for name, environment in _table(tool, "hatch", "envs").items():
        if name.lower() in (*_FOR_TESTS, "default", "hatch-test"):
            for key in ("dependencies", "extra-dependencies"):
                found += _strings(_table(environment).get(key))
    groups = _table(tool, "poetry", "group")
    found += [
        requirement
        for name in groups
        if name.lower() in _FOR_TESTS
        for requirement in _versions(_table(groups, name, "dependencies"))
    ]
    found += _versions(_table(tool, "poetry", "dev-dependencies"))
    for group in _table(tool, "pdm", "dev-dependencies").values():
        found += _strings(group)
    return [r for r in found if not r.startswith(("-", "{"))]


def _versions(table: dict[str, Any]) -> list[str]:
    """A table of names and versions, as Poetry and Pipenv write it, as requirements.

    What comes from a path, an address or a repository is left out.
    """
    found = []
    for name, wanted in table.items():
        extras = _strings(_table(wanted).get("extras"))
        version = _table(wanted).get("version", "") if isinstance(wanted, dict) else wanted
        elsewhere = {"path", "git", "url", "file"} & set(_table(wanted))
        if name.lower() == "python" or elsewhere or not isinstance(version, str):
            continue
        suffix = f"[{','.join(extras)}]" if extras else ""
        found.append(f"{name}{suffix}{_specifier(version.strip())}")
    return found


def _specifier(version: str) -> str:
    """`^1.2` and `~1.2` in the terms of PEP 440; `*` is any."""
    if version in ("", "*"):
        return ""
    caret = re.fullmatch(r"\^(\d{1,9})((?:\.\d{1,9})*)", version)
    if caret:
        numbers = [int(n) for n in version[1:].split(".")]
        at = next((i for i, n in enumerate(numbers) if n), len(numbers) - 1)
        above = ".".join(map(str, [*numbers[:at], numbers[at] + 1]))
        return f">={version[1:]},<{above}"
    tilde = re.fullmatch(r"~(\d+(?:\.\d+)*)", version)
    if tilde:
        return f"~={tilde[1]}" if "." in tilde[1] else f"=={tilde[1]}.*"
    if re.fullmatch(r"\d[\w.]*(?:\.\*)?", version):
        return f"=={version}"
    return version if re.fullmatch(r"[\s<>=!~\w.,*+-]+", version) else ""


def _pipfile(text: str) -> list[str]:
    parsed = _toml(text)
    return [
        requirement
        for section in ("packages", "dev-packages")
        for requirement in _versions(_table(parsed, section))
    ]


_OTHER_NAMES = {"pytorch": "torch", "opencv": "opencv-python-headless", "pytables": "tables"}
_NOT_FROM_PIP = {"python", "pip", "conda", "nodejs", "gcc", "gxx", "make", "cmake", "git", "mamba"}


def _conda(text: str) -> list[str]:
    """The packages of a conda environment under the names that they have on PyPI.

    The file is read line by line: names, versions, and the list below `pip:`.
    """
    found: list[str] = []
    inside = below_pip = False
    depth = 0
    for line in text.splitlines():
        bare = line.split(" #")[0].rstrip()
        entry = re.match(r"(\s*)-\s+[\"']?([^\"']+?)[\"']?$", bare)
        if re.match(r"\w[\w-]*:", bare):
            inside, below_pip = bare.startswith("dependencies:"), False
        elif inside and entry and entry[2].strip() == "pip:":
            below_pip, depth = True, len(entry[1])
        elif inside and entry:
            below_pip = below_pip and len(entry[1]) > depth
            found += _from_conda(entry[2].strip(), from_pip=below_pip)
    return found


def _from_conda(entry: str, *, from_pip: bool) -> list[str]:
    if from_pip:
        return [entry] if re.match(r"[A-Za-z0-9]", entry) and "://" not in entry else []
    name, version = re.match(r"(?:[\w.-]+::)?([\w.-]+)\s*(.*)", entry).groups()  # type: ignore[union-attr]
    name = name.lower()
    if name in _NOT_FROM_PIP or name.startswith(("lib", "_")):
        return []
    # `name=1.2=build`: a build is for conda alone, and one `=` means any version that begins so.
    version = re.sub(r"^=?([\d.]+)(?:=.*)?$", r"==\1.*", version.replace(" ", ""))
    version = version if re.fullmatch(r"(?:[<>=!~]=?[\w.*]+,?)*", version) else ""
    return [f"{_OTHER_NAMES.get(name, name)}{version}"]


def _nox(text: str) -> list[str]:
    """What the sessions of a noxfile install by name."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    words = [
        argument.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "install"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    named = [w for w in words if re.fullmatch(r"[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?[<>=!~\w.,]*", w)]
    return [w for w in named if not w.endswith((".txt", ".toml", ".in"))]


_PLUGIN_OF_OPTION = (
    (r"--cov(?:-[\w-]+)?\b", "pytest-cov"),
    (r"(?:^|\s)(?:-n|--numprocesses|--dist)[ =]?\w", "pytest-xdist"),
    (r"(?:^|\s)--timeout\b", "pytest-timeout"),
    (r"--random-order", "pytest-random-order"),
    (r"--randomly", "pytest-randomly"),
    (r"--reruns", "pytest-rerunfailures"),
    (r"--benchmark", "pytest-benchmark"),
    (r"--html", "pytest-html"),
    (r"(?:^|\s)--ds\b", "pytest-django"),
)
_PLUGIN_OF_SETTING = {
    "timeout": "pytest-timeout",
    "asyncio_mode": "pytest-asyncio",
    "asyncio_default_fixture_loop_scope": "pytest-asyncio",
    "DJANGO_SETTINGS_MODULE": "pytest-django",
    "env": "pytest-env",
}
"""Plugins that an option or setting of pytest belongs to: without it no test starts."""


def _plugins(texts: Texts, project: dict[str, Any]) -> list[str]:
    """The plugins without which pytest would not know its own configuration."""
    options = _pytest_options(texts, project)
    addopts = options.get("addopts", "")
    words = " ".join(_strings(addopts)) if isinstance(addopts, list) else str(addopts)
    by_option = [plugin for pattern, plugin in _PLUGIN_OF_OPTION if re.search(pattern, words)]
    return by_option + [plugin for key, plugin in _PLUGIN_OF_SETTING.items() if key in options]


def _pytest_options(texts: Texts, project: dict[str, Any]) -> dict[str, Any]:
    """pytest's settings at the root, of whichever files have some."""
    options = dict(_table(project, "tool", "pytest", "ini_options"))
    for name, section in (
        ("pytest.ini", "pytest"),
        ("tox.ini", "pytest"),
        ("setup.cfg", "tool:pytest"),
    ):
        options |= _section(texts.get(name, ""), section)
    return options


def _section(text: str, section: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _group(groups: dict[str, Any], name: str, seen: tuple[str, ...]) -> list[str]:
    """One group of PEP 735 with the groups that it includes."""
    entries = groups.get(name)
    if name in seen or not isinstance(entries, list):
        return []
    found = _strings(entries)
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("include-group"), str):
            found += _group(groups, entry["include-group"], (*seen, name))
    return found


def _tox(text: str) -> list[str]:
    """The plain requirements of `[testenv]`, without those of environments that test nothing.

    A line may begin with the factors of the environments it is for (`unit: pytest`,
    `django42: Django~=4.2`). Of a distribution that several such lines name, the last counts, as
    they exclude each other. Lines for single Pythons and references to files are left out.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    always: list[str] = []
    conditional: dict[str, str] = {}
    for line in parser.get("testenv", "deps", fallback="").splitlines():
        factors, _, wanted = line.rpartition(": ") if _FACTORS.match(line) else ("", "", line)
        if not re.match(r"\s*[A-Za-z0-9][^{]*$", wanted) or _NOT_FOR_TESTS.search(factors):
            continue
        if factors:
            conditional[re.split(r"[^\w.-]", wanted.strip())[0].lower()] = wanted.strip()
        else:
            always.append(wanted.strip())
    return [*always, *conditional.values()]


_FACTORS = re.compile(r"\s*[!\w.,{}-]+(?: *, *[!\w.{}-]+)*: ")
_NOT_FOR_TESTS = re.compile(r"!|\b(?:docs?|doctest|lint|flake8?|mypy|types?|typing|style|py\d*)\b")
"""Factors of tox environments that need more than the tests do, such as Sphinx, and of Pythons."""


def _tox_extras(text: str) -> list[str]:
    """The package's extras that `[testenv]` installs."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    named = parser.get("testenv", "extras", fallback="")
    return [name for name in re.split(r"[\s,]+", named) if re.fullmatch(r"[\w.-]+", name)]


def _setup_py_extras(text: str) -> list[str]:
    """The names of the extras in a setup.py that writes them out, in the call or before it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "extras_require":
            found += _keys(node.value)
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            whole = target.value if isinstance(target, ast.Subscript) else target
            if isinstance(whole, ast.Name) and _EXTRAS.match(whole.id):
                found += _keys(node.value)
                found += _words(target.slice) if isinstance(target, ast.Subscript) else []
    return [name for name in dict.fromkeys(found) if re.fullmatch(r"[\w.-]+", name)]


_EXTRAS = re.compile(r"extras?(?:_require)?$", re.IGNORECASE)


def _keys(value: ast.expr) -> list[str]:
    keys = value.keys if isinstance(value, ast.Dict) else []
    return [word for key in keys if key is not None for word in _words(key)]


def _words(value: ast.expr) -> list[str]:
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def _setup_cfg_extras(text: str) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    section = "options.extras_require"
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _test_groups(groups: Iterable[str]) -> list[str]:
    """The names of extras or groups that tests may need."""
    return [name for name in groups if name.lower() in _FOR_TESTS]


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def _table(value: Any, *names: str) -> dict[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
