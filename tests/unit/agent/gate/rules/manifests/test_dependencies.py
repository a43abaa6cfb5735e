"""Changes of dependencies and of the build are for a person; other parts of the files are not."""

from __future__ import annotations

import pytest

from agent.gate.patch.changed_file import changed_texts
from agent.gate.rules.manifests.dependencies import dependency_changes

_PYPROJECT = '[project]\nname = "shop"\ndependencies = ["rich"]\n\n[tool.ruff]\nline-length = 99\n'
_NODE = '{"name": "shop", "version": "1.0.0", "dependencies": {"left": "1"}}\n'
_SETUP = (
    'from setuptools import setup\n\nsetup(name="shop", version="1", install_requires=["rich"])\n'
)


@pytest.mark.parametrize(
    ("path", "base", "old", "new", "told"),
    [
        ("pyproject.toml", _PYPROJECT, '["rich"]', '["rich", "rows"]', "project.dependencies"),
        ("pyproject.toml", _PYPROJECT, "[tool.ruff]", "[build-system]\n", "build-system"),
        ("pyproject.toml", _PYPROJECT, "99", "100", ""),
        ("setup.py", _SETUP, '"rich"', '"rich", "rows @ https://x.example/r"', "install_requires"),
        ("setup.py", _SETUP, '"1"', '"2"', ""),
        ("package.json", _NODE, '"left": "1"', '"left": "npm:right@1"', "dependencies"),
        ("package.json", _NODE, '"shop"', '"shop", "imports": {"#a": "./b.js"}', "imports"),
        ("package.json", _NODE, "1.0.0", "1.0.1", ""),
        ("requirements-dev.txt", "rich\n", "rich", "--index-url https://x.example\nrich", "needs"),
        ("requirements.txt", "rich\n", "rich", "# pinned\nrich", ""),
        ("go.mod", "module a\n", "module a", "module a\n\nreplace b => ./c", "needs"),
        (
            "Cargo.toml",
            '[package]\nname = "a"\n',
            "[package]",
            '[package]\nbuild = "b.rs"',
            "build",
        ),
        ("Cargo.toml", '[package]\nname = "a"\n', "[package]", '[package]\nversion = "2"', ""),
        ("vendor/rows/rows.go", "package rows\n", "rows", "rows // x", "others"),
        ("deploy/Dockerfile", "FROM a\n", "FROM a", "FROM a\nRUN curl x.example", "needs"),
        ("docker-compose.yml", "services: {}\n", "{}", "{a: {image: b}}", "needs"),
        ("next.config.mjs", "export default {};\n", "{}", "{ a: run() }", "needs"),
        ("src/app.config.ts", "export default {};\n", "{}", "{ a: 1 }", ""),
        ("shop/vendor.py", "a = 1\n", "1", "2", ""),
    ],
)
def test_what_no_run_can_speak_for(path: str, base: str, old: str, new: str, told: str) -> None:
    said = " ".join(dependency_changes([changed_texts(path, base, base.replace(old, new))]))
    assert told in said and bool(said) == bool(told)
