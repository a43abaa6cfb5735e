"""Which distributions would bring what a suite says it misses."""

from __future__ import annotations

import pytest

from sandbox.environment.missing import missing_distributions, missing_modules


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ModuleNotFoundError: No module named 'yaml'", ("pyyaml",)),
        ("could not import 'numpy': No module named 'numpy'", ("numpy",)),
        ("No module named 'google.protobuf.message'", ("protobuf",)),
        ("No module named 'named_one'", ("named-one",)),
        ("No module named 'nobody_named_this'", ()),
        ("No module named 'winreg'", ()),
        ("error: unrecognized arguments: --splits=1 --group=1", ("pytest-split",)),
        ("error: unrecognized arguments: -n4 --cov=x", ("pytest-xdist", "pytest-cov")),
        ("error: unrecognized arguments: --acme-house-option", ()),
        ("fixture 'mocker' not found", ("pytest-mock",)),
        ("'asyncio' not found in `markers` configuration option", ("pytest-asyncio",)),
        ("Missing required plugins: pytest-timeout>=2, acme", ("pytest-timeout>=2",)),
        ('Error importing plugin "xdist": No module', ("pytest-xdist",)),
        ("async def functions are not natively supported.", ("pytest-asyncio",)),
        ("", ()),
    ],
)
def test_only_known_or_named_distributions_are_proposed(
    said: str, expected: tuple[str, ...]
) -> None:
    manifests = {"pyproject.toml": 'extra = ["Named-One>=2"]\nurl = "x/nobody_named_this/"\n'}
    assert missing_distributions(said, manifests) == expected


def test_modules_of_both_languages_are_read() -> None:
    said = "Cannot find module '@scope/pkg/sub' … Cannot find module './own' … No module named a.b"
    assert missing_modules(said) == ("a.b", "@scope/pkg")
