"""What a Python project's manifests name for its tests."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from sandbox.environment.compiled import ONLINE
from sandbox.environment.python import steps
from sandbox.environment.records import LOCKED, PREFIX, Resolution

NOX = 'import nox\n\n@nox.session\ndef tests(s):\n    s.install("attrs", "-r", "dev.txt")\n'
CONDA = "name: x\ndependencies:\n  - python=3.11\n  - numpy=1.26\n  - pip:\n    - attrs>=23\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "Pipfile",
            '[packages]\nattrs = "*"\n[dev-packages]\nrich = "~=13.0"\n',
            "attrs 'rich~=13.0'",
        ),
        ("environment.yml", CONDA, "'numpy==1.26.*' 'attrs>=23'"),
        ("noxfile.py", NOX, "attrs"),
        (
            "pyproject.toml",
            '[tool.poetry.group.dev.dependencies]\nattrs = "^23.1"\n',
            "'attrs>=23.1,<24'",
        ),
        ("pyproject.toml", '[tool.uv]\ndev-dependencies = ["attrs"]\n', "attrs"),
        ("pyproject.toml", '[tool.hatch.envs.test]\ndependencies = ["attrs"]\n', "attrs"),
        ("pytest.ini", "[pytest]\naddopts = --cov=parcel -n 2\n", "pytest-cov pytest-xdist"),
        ("tox.ini", "[testenv]\ndeps =\n  attrs\n", "attrs"),
    ],
)
def test_every_tools_own_list_is_installed(name: str, text: str, words: str) -> None:
    commands = " ; ".join(step.command for step in steps([name], {name: text}, "."))
    assert words in commands


def test_tox_is_used_beside_a_requirements_file() -> None:
    texts = {"requirements.txt": "", "tox.ini": "[testenv]\ndeps =\n  attrs\n"}
    commands = " ; ".join(step.command for step in steps(list(texts), texts, "."))
    assert "-r requirements.txt" in commands
    assert "-q attrs" in commands


FACTORS = """[testenv]
deps =
  attrs
  unit: matplotlib; python_version < "3.15"
  django42: Django~=4.2
  django52: Django~=5.2
  docs, doctest: sphinx
  py38,py39: typing
  !cov: left-out
  -r other.txt
"""


def test_toxs_lines_for_some_environments_are_requirements_without_their_factors() -> None:
    commands = [s.command for s in steps(["tox.ini"], {"tox.ini": FACTORS}, ".")]
    assert [c.partition(" -q ")[2] for c in commands if "attrs" in c] == [
        "attrs 'matplotlib; python_version < \"3.15\"' 'Django~=5.2'"
    ]


def test_a_conda_environment_is_used_where_nothing_else_says_what_tests_need() -> None:
    texts = {"environment.yml": CONDA, "tox.ini": "[testenv]\ndeps =\n  pytest\n"}
    assert not any("numpy" in s.command for s in steps(list(texts), texts, "."))


SETUP = """from setuptools import setup
EXTRAS_REQUIRE = {"tests": ["pytz"], "docs": ["sphinx"]}
EXTRAS_REQUIRE["dev"] = EXTRAS_REQUIRE["tests"] + ["mypy"]
setup(extras_require=EXTRAS_REQUIRE)
"""


@pytest.mark.parametrize(
    ("texts", "extras"),
    [
        ({"setup.py": SETUP}, "tests,dev"),
        ({"setup.py": 'setup(extras_require={"test": [], "$(x)": []})'}, "test"),
        ({"setup.py": SETUP, "tox.ini": "[testenv]\nextras = tests\n"}, "tests"),
        ({"setup.py": "", "tox.ini": "[testenv]\nextras =\n  one\n  two,$(x)\n"}, "one,two"),
        (
            {
                "pyproject.toml": '[build-system]\n[project.optional-dependencies]\ntest = ["a"]\n',
                "tox.ini": "[testenv]\nextras = cov\n",
            },
            "test,cov",
        ),
    ],
)
def test_extras_that_tests_need_are_installed(texts: dict[str, str], extras: str) -> None:
    commands = " ; ".join(step.command for step in steps(list(texts), texts, "."))
    assert f"-e '.[{extras}]'" in commands


def test_uv_is_tried_before_pip_and_what_serves_all_repositories_is_apart() -> None:
    texts = {"requirements.txt": "attrs\n", "setup.py": ""}
    found = steps(list(texts), texts, "sub")
    shared = [step for step in found if step.shared]
    own = [step for step in found if not step.shared]
    [optional] = [step for step in shared if step.optional]
    assert optional.command.endswith(" uv") and optional.script.endswith("|| true")
    assert [step.folder for step in own] == ["sub", "sub", "."]
    for step in own:
        assert "/uv pip install" in step.faster and "uv " not in step.command
        assert step.script == f"{{ {step.faster}\n}} || {{ {step.command}\n}}"
    assert "-r requirements.txt" in own[0].faster and "-r requirements.txt" in own[0].command


@pytest.mark.parametrize(
    ("says", "installer"),
    [
        ("", "uv"),
        (":env:.cert='/etc/ca.pem'\nglobal.timeout='60'\n", "uv"),
        ("global.index-url='https://pypi.internal/simple'\n", "pip"),
        (":env:.extra-index-url='https://pypi.internal/simple'\n", "pip"),
        (f":env:.no-index='{dict(ONLINE)['PIP_NO_INDEX']}'\n", "uv"),
        (":env:.no-index='1'\n", "pip"),
        (":env:.find-links='/wheels'\n", "pip"),
        ("install.constraint='/etc/constraints.txt'\n", "pip"),
    ],
)
def test_an_index_that_pip_is_told_of_is_asked_and_no_other(
    tmp_path: Path, says: str, installer: str
) -> None:
    """Else whoever registers the name of an internal package at PyPI has it installed."""
    for name, script in {
        "python/bin/python3": f"printf %s {shlex.quote(says)}",
        "uv/bin/uv": "echo uv",
        "bin/pip": "echo pip",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    texts = {"requirements.txt": "internal-lib\n"}
    dated = Resolution(as_of="2024-03-01")
    for resolution, expected in ((LOCKED, installer), (dated, "uv" if installer == "uv" else "")):
        found = steps(list(texts), texts, ".", resolution)
        [install] = [step for step in found if "-r requirements.txt" in step.command]
        script = install.script.replace(PREFIX, str(tmp_path))
        script = script.replace("/tmp/patchwright-", f"{tmp_path}/")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == expected
        assert (done.returncode == 0) is bool(expected)


def test_only_uv_can_be_told_a_date() -> None:
    texts = {"requirements.txt": "attrs\n"}
    found = steps(list(texts), texts, ".", Resolution(locked=False, as_of="2024-03-01"))
    own = [step for step in found if not step.shared]
    assert all("--exclude-newer 2024-03-01" in step.command and not step.faster for step in own)
