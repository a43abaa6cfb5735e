"""Small repositories with a bug, in layouts and words of their own. Nothing else knows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bug:
    """Files of a repository, and what a user wrote about it."""

    files: dict[str, str]
    title: str
    body: str

    def write(self, folder: Path) -> Path:
        """The files on disk."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder


ROOT_MODULES = Bug(
    files={
        "stats.py": (
            "def mean(values):\n    return sum(values) / len(values)\n\n\n"
            "def median(values):\n    ordered = sorted(values)\n"
            "    middle = len(ordered) // 2\n    if len(ordered) % 2:\n"
            "        return ordered[middle]\n"
            "    return (ordered[middle] + ordered[middle + 1]) / 2\n"
        ),
        "test_stats.py": (
            "from stats import mean, median\n\n\n"
            "def test_mean():\n    assert mean([1, 2, 3]) == 2\n"
            "\n\ndef test_median_odd():\n    assert median([3, 1, 2]) == 2\n"
        ),
    },
    title="median of an even list is wrong",
    body=(
        "I get a strange number for lists with an even number of entries:\n\n"
        ">>> from stats import median\n>>> median([1, 2, 3, 4, 5, 6])\n4.5\n\nExpected 3.5.\n"
    ),
)

TESTS_FOLDER = Bug(
    files={
        "leap.py": (
            "def is_leap(year):\n    if year % 400 == 0:\n        return True\n"
            "    if year % 100 == 0:\n        return True\n    return year % 4 == 0\n"
        ),
        "tests/test_leap.py": (
            "import leap\n\n\ndef test_fours():\n    assert leap.is_leap(2024)\n"
            "\n\ndef test_odd():\n    assert not leap.is_leap(2023)\n"
            "\n\ndef test_four_hundreds():\n    assert leap.is_leap(2000)\n"
        ),
    },
    title="1900 was no leap year",
    body="`is_leap(1900)` returns `True` but it should be `False`, also 2100.\n",
)

SRC_LAYOUT = Bug(
    files={
        "pyproject.toml": '[project]\nname = "paging"\nversion = "1"\n',
        "src/paging/__init__.py": "from paging.pages import page_of, pages\n",
        "src/paging/pages.py": (
            "def pages(count, size):\n"
            '    """How many pages `count` items need."""\n'
            "    if size <= 0:\n        raise ValueError('size must be positive')\n"
            "    return (count + size) // size\n\n\n"
            "def page_of(index, size):\n"
            '    """The page, from 1, that holds an item."""\n'
            "    return index // size + 1\n"
        ),
        "tests/test_pages.py": (
            "import pytest\n\nfrom paging import page_of, pages\n\n\n"
            "def test_some():\n    assert pages(11, 5) == 3\n\n\n"
            "def test_none_allowed():\n    with pytest.raises(ValueError):\n"
            "        pages(1, 0)\n\n\n"
            "def test_page_of():\n    assert page_of(0, 5) == 1\n    assert page_of(5, 5) == 2\n"
        ),
    },
    title="One page too many",
    body=(
        "When the items fill the pages exactly there is an empty page at the end.\n\n"
        "```python\nfrom paging import pages\npages(10, 5)   # gives 3, should be 2\n```\n"
    ),
)

TRACEBACK_ONLY = Bug(
    files={
        "shop/__init__.py": "",
        "shop/basket.py": (
            "def cheapest(items):\n"
            '    """The cheapest item as (name, price); None for an empty basket."""\n'
            "    best = items[0]\n    for item in items:\n        if item[1] < best[1]:\n"
            "            best = item\n    return best\n"
        ),
        "tests/test_basket.py": (
            "from shop.basket import cheapest\n\n\ndef test_cheapest():\n"
            "    assert cheapest([('a', 3), ('b', 2)]) == ('b', 2)\n"
        ),
    },
    title="IndexError for an empty basket",
    body=(
        "Our shop crashed last night:\n\n```\nTraceback (most recent call last):\n"
        '  File "run.py", line 4, in <module>\n    print(cheapest([]))\n'
        '  File "shop/basket.py", line 3, in cheapest\n    best = items[0]\n'
        "           ~~~~~^^^\nIndexError: list index out of range\n```\n"
    ),
)

LAYOUTS = {
    "files at the root, doctest in the issue": ROOT_MODULES,
    "tests folder, plain asserts, prose": TESTS_FOLDER,
    "src layout, code block": SRC_LAYOUT,
    "traceback only": TRACEBACK_ONLY,
}
