"""Statistics on the one hand, layered configuration on the other."""

from __future__ import annotations

from tests.histories.story import Fix, Module, Story

STATS = Module(
    path="figures/stats.py",
    text='''"""Simple statistics."""


def mean(values):
    """The mean; 0.0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def median(values):
    """The middle value, or the mean of both."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def clamp(value, low, high):
    """The value, kept within the bounds."""
    return max(low, min(value, high))


def moving_average(values, width):
    """Means of all neighbouring groups of so many values."""
    return [mean(values[i : i + width]) for i in range(len(values) - width + 1)]


def percent(part, whole):
    """Whole percent, rounded half up."""
    return int(part * 100 / whole + 0.5)


def normalised(values):
    """The values scaled so that they sum up to 1."""
    whole = sum(values)
    return [value / whole for value in values]
''',
    tests_path="figures/tests/test_stats.py",
    tests="""from figures.stats import clamp, mean, median, moving_average, normalised, percent


def test_mean():
    assert mean([2, 4]) == 3


def test_median_of_sorted():
    assert median([1, 2, 3]) == 2


def test_clamp_within():
    assert clamp(0, 0, 10) == 0


def test_average_of_none():
    assert moving_average([], 2) == []


def test_percent():
    assert percent(1, 4) == 25


def test_normalised():
    assert normalised([1.0]) == [1.0]
""",
    fixes=(
        Fix(
            kind="missing empty case",
            right="return sum(values) / len(values) if values else 0.0",
            wrong="return sum(values) / len(values)",
            message="""
mean of nothing divides by zero

`mean([])` raises `ZeroDivisionError: division by zero`. It should be `0.0`.
""",
            tests="""
def test_mean_of_nothing():
    assert mean([]) == 0.0
    assert mean([5]) == 5
""",
        ),
        Fix(
            kind="swapped functions",
            right="return max(low, min(value, high))",
            wrong="return min(low, max(value, high))",
            message="""
clamp() gives the lower bound for everything

    >>> from figures.stats import clamp
    >>> clamp(12, 0, 10)
    0

Expected 10.
""",
            tests="""
def test_clamp():
    assert clamp(12, 0, 10) == 10
    assert clamp(-3, 0, 10) == 0
    assert clamp(10, 0, 10) == 10
    assert clamp(7, 0, 10) == 7
""",
        ),
        Fix(
            kind="wrong index",
            right="return (ordered[middle - 1] + ordered[middle]) / 2",
            wrong="return (ordered[middle] + ordered[middle + 1]) / 2",
            message="""
median of four values is too high

    >>> from figures.stats import median
    >>> median([1, 2, 3, 4])
    3.5

Expected 2.5.
""",
            tests="""
def test_median_of_even():
    assert median([1, 2, 3, 4]) == 2.5
    assert median([4, 1]) == 2.5
    assert median([1, 1, 9, 9, 2, 8]) == 5
""",
        ),
        Fix(
            kind="off by one",
            right="range(len(values) - width + 1)]",
            wrong="range(len(values) - width)]",
            message="""
The last group is missing from moving averages

`moving_average([1, 3, 5], 2)` returns `[2.0]` instead of `[2.0, 4.0]`.
""",
            tests="""
def test_moving_average():
    assert moving_average([1, 3, 5], 2) == [2, 4]
    assert moving_average([1, 3, 5], 3) == [3]
    assert moving_average([1], 1) == [1]
""",
        ),
        Fix(
            kind="rounding",
            right="return int(part * 100 / whole + 0.5)",
            wrong="return int(part * 100 / whole)",
            message="""
Percent are cut off

    >>> from figures.stats import percent
    >>> percent(2, 3)
    66

Expected 67, rounded.
""",
            tests="""
def test_percent_rounds():
    assert percent(2, 3) == 67
    assert percent(1, 8) == 13
    assert percent(1, 3) == 33
    assert percent(5, 8) == 63
""",
        ),
        Fix(
            kind="vague report",
            right="""    whole = sum(values)
    return [value / whole for value in values]
""",
            wrong="""    whole = max(values)
    return [value / whole for value in values]
""",
            message="""
Shares in the chart look odd

The slices of the pie overlap since last week.
""",
            tests="""
def test_normalised_sums_up():
    assert normalised([1, 3]) == [0.25, 0.75]
    assert sum(normalised([1, 2, 5])) == 1
""",
        ),
    ),
)

LAYERS = Module(
    path="layers.py",
    text='''"""Configuration in layers."""


def merged(*layers):
    """Later layers win; inner dictionaries are merged as well."""
    result = {}
    for layer in layers:
        for key, value in layer.items():
            known = result.get(key)
            if isinstance(known, dict) and isinstance(value, dict):
                value = merged(known, value)
            result[key] = value
    return result


def flag(text):
    """A yes or no in words."""
    word = text.strip().lower()
    if word in ("1", "yes", "true", "on"):
        return True
    if word in ("0", "no", "false", "off"):
        return False
    raise ValueError(f"neither yes nor no: {text}")


def setting(line):
    """Name and value of "name = value"; the value may hold more equals signs."""
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def lookup(config, path, default=None):
    """A value by its dotted path."""
    for part in path.split("."):
        if not isinstance(config, dict) or part not in config:
            return default
        config = config[part]
    return config


def lines(text):
    """Lines that are neither blank nor comments."""
    return [s for s in (row.strip() for row in text.splitlines()) if s and not s.startswith("#")]


def seconds(text):
    """Seconds of "90s", "5m" or "2h"."""
    units = {"s": 1, "m": 60, "h": 3600}
    return int(text[:-1]) * units[text[-1]]
''',
    tests_path="test_layers.py",
    tests="""from layers import flag, lines, lookup, merged, seconds, setting


def test_merged_of_none():
    assert merged() == {}


def test_flag():
    assert flag("yes") is True
    assert flag("no") is False


def test_setting():
    assert setting("a=b") == ("a", "b")


def test_lookup():
    assert lookup({"a": {"b": 1}}, "a.b") == 1


def test_lines():
    assert lines("a\\nb") == ["a", "b"]


def test_seconds():
    assert seconds("9s") == 9
""",
    fixes=(
        Fix(
            kind="missing strip",
            right="word = text.strip().lower()",
            wrong="word = text.lower()",
            message="""
A flag with a blank after it is refused

`flag("yes ")` raises `ValueError: neither yes nor no: yes `. It should be `True`.
""",
            tests="""
def test_flag_with_blanks():
    assert flag("yes ") is True
    assert flag(" Off\\n") is False
""",
        ),
        Fix(
            kind="wrong string method",
            right='name, _, value = line.partition("=")',
            wrong='name, _, value = line.rpartition("=")',
            message="""
Values with an equals sign are split at the wrong place

    >>> from layers import setting
    >>> setting("key = a=b")
    ('key = a', 'b')

Expected ('key', 'a=b').
""",
            tests="""
def test_setting_with_equals_sign():
    assert setting("key = a=b") == ("key", "a=b")
    assert setting("url = http://x/?a=1&b=2") == ("url", "http://x/?a=1&b=2")
    assert setting("flag") == ("flag", "")
""",
        ),
        Fix(
            kind="wrong variable in recursion",
            right="value = merged(known, value)",
            wrong="value = merged(value, known)",
            message="""
Inner values of the first layer win

```python
from layers import merged

merged({"a": {"b": 1}}, {"a": {"b": 2}})
```

gives `{'a': {'b': 1}}`, but it should be `{'a': {'b': 2}}`.
""",
            tests="""
def test_inner_values():
    assert merged({"a": {"b": 1}}, {"a": {"b": 2}}) == {"a": {"b": 2}}
    assert merged({"a": {"b": 1, "c": 3}}, {"a": {"b": 2}}) == {"a": {"b": 2, "c": 3}}
    assert merged({"a": 1}, {"a": {"b": 2}}) == {"a": {"b": 2}}
""",
        ),
        Fix(
            kind="wrong boolean operator",
            right="if not isinstance(config, dict) or part not in config:",
            wrong="if not isinstance(config, dict) and part not in config:",
            message="""
lookup() crashes where the path does not exist

`lookup({"a": {}}, "a.b")` raises `KeyError: 'b'`. It should be `None`.
""",
            tests="""
def test_lookup_of_missing():
    assert lookup({"a": {}}, "a.b") is None
    assert lookup({"a": {}}, "a.b", 7) == 7
    assert lookup({"a": 1}, "a.b.c", 7) == 7
    assert lookup({"a": "text"}, "a.t", 7) == 7
""",
        ),
        Fix(
            kind="filter forgets a case",
            right='if s and not s.startswith("#")]',
            wrong='if not s.startswith("#")]',
            message="""
Blank lines are not left out

    >>> from layers import lines
    >>> lines("a\\n\\nb")
    ['a', '', 'b']

It should be ['a', 'b'].
""",
            tests="""
def test_blank_lines():
    assert lines("a\\n\\nb") == ["a", "b"]
    assert lines("  \\n# note\\n c # d\\n") == ["c # d"]
""",
        ),
        Fix(
            kind="wrong constant in a table",
            right='"h": 3600}',
            wrong='"h": 360}',
            message="""
Hours are too short

`seconds("2h")` returns `720` instead of `7200`.
""",
            tests="""
def test_hours():
    assert seconds("2h") == 7200
    assert seconds("5m") == 300
""",
        ),
    ),
)

FIGURES = Story(
    name="figures",
    modules=(STATS,),
    files={"figures/__init__.py": "", "figures/tests/__init__.py": ""},
)
LAYERED = Story(name="layered", modules=(LAYERS,))
