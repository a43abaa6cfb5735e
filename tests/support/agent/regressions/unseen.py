"""Regressions that nobody looks at while the search is changed."""

from __future__ import annotations

from tests.support.agent.regressions.records import Regression, Step

LAST_CHUNK = Regression(
    name="last_chunk",
    kind="a generator written anew, 9 lines",
    issue="""The rest is lost when a list is cut into groups
```
>>> from batches.grouping import groups
>>> list(groups([1, 2, 3, 4, 5], 2))   # should be [[1, 2], [3, 4], [5]]
[[1, 2], [3, 4]]
```
It worked in the last version.
""",
    start={
        "batches/__init__.py": "",
        "batches/grouping.py": """\"\"\"Groups of a list.\"\"\"


def groups(items, size):
    \"\"\"Cut into lists of so many; the last one may be shorter.\"\"\"
    current = []
    for item in items:
        current.append(item)
        if len(current) == size:
            yield current
            current = []
    if current:
        yield current


def pairs(items):
    return list(zip(items, items[1:]))
""",
        "tests/test_grouping.py": """from batches.grouping import groups, pairs


def test_groups():
    assert list(groups("abcd", 2)) == [["a", "b"], ["c", "d"]]


def test_pairs():
    assert pairs([1, 2, 3]) == [(1, 2), (2, 3)]
""",
    },
    culprit=Step(
        "groups: shorter",
        (
            (
                "batches/grouping.py",
                """    current = []
    for item in items:
        current.append(item)
        if len(current) == size:
            yield current
            current = []
    if current:
        yield current
""",
                """    iterators = [iter(items)] * size
    for group in zip(*iterators):
        yield list(group)
""",
            ),
        ),
    ),
    hidden="""from batches.grouping import groups


def test_all():
    assert list(groups([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(groups([], 3)) == []
    assert list(groups("abc", 3)) == [["a", "b", "c"]]
""",
)

STRICT_PATTERN = Regression(
    name="strict_pattern",
    kind="a pattern changed in a commit of four hunks",
    issue="""Versions with a suffix are refused
```
>>> from release.version import parse
>>> parse("1.4.0rc2")   # should be (1, 4, 0, 'rc2')
ValueError: no version: '1.4.0rc2'
```
""",
    start={
        "release/__init__.py": "",
        "release/version.py": """\"\"\"Versions.\"\"\"

import re

FORM = re.compile(r"(\\d+)\\.(\\d+)\\.(\\d+)([a-z]+\\d*)?")


def parse(text):
    hit = FORM.fullmatch(text)
    if hit is None:
        raise ValueError(f"no version: {text!r}")
    major, minor, patch, suffix = hit.groups()
    return int(major), int(minor), int(patch), suffix or ""


def newest(texts):
    return max(texts, key=parse)


def bump(text):
    major, minor, patch, _ = parse(text)
    return f"{major}.{minor}.{patch + 1}"
""",
        "tests/test_version.py": """import pytest

from release.version import bump, newest, parse


def test_parse():
    assert parse("2.0.11") == (2, 0, 11, "")


def test_refused():
    with pytest.raises(ValueError):
        parse("1.2")


def test_newest():
    assert newest(["1.9.0", "1.10.0"]) == "1.10.0"


def test_bump():
    assert bump("1.2.3") == "1.2.4"
""",
    },
    culprit=Step(
        "Versions may begin with v",
        (
            (
                "release/version.py",
                """FORM = re.compile(r"(\\d+)\\.(\\d+)\\.(\\d+)([a-z]+\\d*)?")
""",
                """FORM = re.compile(r"(\\d+)\\.(\\d+)\\.(\\d+)([a-z]*)")
""",
            ),
            (
                "release/version.py",
                """    hit = FORM.fullmatch(text)
""",
                """    hit = FORM.fullmatch(without_v(text))
""",
            ),
            (
                "release/version.py",
                """def newest(texts):""",
                """def without_v(text):
    return text[1:] if text.startswith("v") else text


def newest(texts):""",
            ),
            (
                "release/version.py",
                """    return f"{major}.{minor}.{patch + 1}"
""",
                """    start = "v" if text.startswith("v") else ""
    return f"{start}{major}.{minor}.{patch + 1}"
""",
            ),
            (
                "tests/test_version.py",
                "def test_refused():",
                'def test_v():\n    assert parse("v1.2.3") == (1, 2, 3, "")\n'
                '    assert bump("v1.2.3") == "v1.2.4"\n\n\ndef test_refused():',
            ),
        ),
    ),
    hidden="""from release.version import bump, parse


def test_all():
    assert parse("1.4.0rc2") == (1, 4, 0, "rc2")
    assert parse("v1.4.0b") == (1, 4, 0, "b")
    assert bump("v1.0.0") == "v1.0.1"
""",
)

DURATION_WORDS = Regression(
    name="duration_words",
    kind="a function of 24 lines written anew, its neighbour edited later",
    issue="""Durations of an hour and more are in minutes
```
>>> from clock.words import spoken
>>> spoken(3725)   # should be '1 h 2 min 5 s'
'62 min 5 s'
```
It used to say hours.
""",
    start={
        "clock/__init__.py": "",
        "clock/words.py": """\"\"\"Durations in words.\"\"\"


def spoken(seconds):
    if seconds < 0:
        raise ValueError("negative duration")
    hours = 0
    minutes = 0
    while seconds >= 3600:
        hours += 1
        seconds -= 3600
    while seconds >= 60:
        minutes += 1
        seconds -= 60
    words = []
    if hours:
        words.append(str(hours) + " h")
    if minutes:
        words.append(str(minutes) + " min")
    if seconds or not words:
        words.append(str(seconds) + " s")
    result = ""
    for word in words:
        if result:
            result += " "
        result += word
    return result


def stamp(seconds):
    return "%d:%02d" % (seconds // 60, seconds % 60)
""",
        "tests/test_words.py": """import pytest

from clock.words import spoken, stamp


def test_spoken():
    assert spoken(0) == "0 s"
    assert spoken(60) == "1 min"
    assert spoken(61) == "1 min 1 s"


def test_negative():
    with pytest.raises(ValueError):
        spoken(-1)


def test_stamp():
    assert stamp(61) == "1:01"
""",
    },
    culprit=Step(
        "spoken: divmod",
        (
            (
                "clock/words.py",
                """    hours = 0
    minutes = 0
    while seconds >= 3600:
        hours += 1
        seconds -= 3600
    while seconds >= 60:
        minutes += 1
        seconds -= 60
    words = []
    if hours:
        words.append(str(hours) + " h")
    if minutes:
        words.append(str(minutes) + " min")
    if seconds or not words:
        words.append(str(seconds) + " s")
    result = ""
    for word in words:
        if result:
            result += " "
        result += word
    return result
""",
                """    minutes, rest = divmod(seconds, 60)
    words = [f"{minutes} min"] if minutes else []
    if rest or not minutes:
        words.append(f"{rest} s")
    return " ".join(words)
""",
            ),
        ),
    ),
    later=(
        Step(
            "stamp: f-string",
            (
                (
                    "clock/words.py",
                    '    return "%d:%02d" % (seconds // 60, seconds % 60)',
                    '    minutes, rest = divmod(seconds, 60)\n    return f"{minutes}:{rest:02d}"',
                ),
            ),
        ),
    ),
    hidden="""from clock.words import spoken, stamp


def test_all():
    assert spoken(3725) == "1 h 2 min 5 s"
    assert spoken(7200) == "2 h"
    assert spoken(59) == "59 s"
    assert stamp(3725) == "62:05"
""",
)

PULLED_UP = Regression(
    name="pulled_up",
    kind="a method moved to the base class loses a case, two files",
    issue="""Archived documents are shown as if they were open
```
>>> from docs_app.report import Report
>>> Report("Budget", archived=True).heading()   # should be '[Budget]'
'Budget'
```
""",
    start={
        "docs_app/__init__.py": "",
        "docs_app/base.py": """\"\"\"Documents.\"\"\"


class Document:
    def __init__(self, title, archived=False):
        self.title = title
        self.archived = archived

    def words(self):
        return self.title.split()
""",
        "docs_app/report.py": """\"\"\"Reports.\"\"\"

from docs_app.base import Document


class Report(Document):
    def heading(self):
        if self.archived:
            return f"[{self.title}]"
        return self.title

    def file_name(self):
        return self.title.lower().replace(" ", "_") + ".txt"
""",
        "tests/test_docs.py": """from docs_app.report import Report


def test_heading():
    assert Report("Budget").heading() == "Budget"


def test_file_name():
    assert Report("My Plan").file_name() == "my_plan.txt"
""",
    },
    culprit=Step(
        "All documents have a heading",
        (
            (
                "docs_app/base.py",
                """    def words(self):
        return self.title.split()
""",
                """    def words(self):
        return self.title.split()

    def heading(self):
        return self.title
""",
            ),
            (
                "docs_app/report.py",
                """    def heading(self):
        if self.archived:
            return f"[{self.title}]"
        return self.title

""",
                "",
            ),
        ),
    ),
    hidden="""from docs_app.base import Document
from docs_app.report import Report


def test_all():
    assert Report("Budget", archived=True).heading() == "[Budget]"
    assert Report("Budget").heading() == "Budget"
    assert Document("Plan").heading() == "Plan"
""",
)

CLAMPED_LEVEL = Regression(
    name="clamped_level",
    kind="a comparison and a call changed in one line, edited later",
    issue="""Volume above 100
Since the redesign the volume can be turned over the maximum:

```
>>> from audio.volume import louder
>>> louder(95, 10)   # should be 100
105
```
""",
    start={
        "audio/__init__.py": "",
        "audio/volume.py": """\"\"\"Volume.\"\"\"

LOUDEST = 100


def louder(level, step=5):
    return min(level + step, LOUDEST)


def quieter(level, step=5):
    return max(level - step, 0)


def is_audible(level):
    return level > 0
""",
        "tests/test_volume.py": """from audio.volume import is_audible, louder, quieter


def test_louder():
    assert louder(50) == 55


def test_quieter():
    assert quieter(3) == 0


def test_audible():
    assert not is_audible(0)
""",
    },
    culprit=Step(
        "Fewer calls",
        (
            (
                "audio/volume.py",
                "    return min(level + step, LOUDEST)",
                "    return level + step",
            ),
        ),
    ),
    later=(
        Step(
            "level is called volume everywhere",
            (
                (
                    "audio/volume.py",
                    """def louder(level, step=5):
    return level + step


def quieter(level, step=5):
    return max(level - step, 0)
""",
                    """def louder(volume, step=5):
    return volume + step


def quieter(volume, step=5):
    return max(volume - step, 0)
""",
                ),
            ),
        ),
    ),
    hidden="""from audio.volume import louder, quieter


def test_all():
    assert louder(95, 10) == 100
    assert louder(100) == 100
    assert louder(10, 7) == 17
    assert quieter(2, 5) == 0
""",
)

SPLIT_NAMES = Regression(
    name="split_names",
    kind="a branch dropped, the function moved into a class later",
    issue="""Names with a comma are the wrong way round
```
>>> from contacts.names import Names
>>> Names().split("Doe, Jane")   # should be ('Jane', 'Doe')
('Doe,', 'Jane')
```
""",
    start={
        "contacts/__init__.py": "",
        "contacts/names.py": """\"\"\"Names of contacts.\"\"\"


def split(name):
    name = " ".join(name.split())
    if "," in name:
        last, _, first = name.partition(",")
        return first.strip(), last.strip()
    first, _, last = name.rpartition(" ")
    return first, last


def initials(name):
    return "".join(part[0] for part in split(name) if part)
""",
        "tests/test_names.py": """import contacts.names as names


def test_split():
    assert names.split("Jane Q Doe") == ("Jane Q", "Doe")


def test_one():
    assert names.split("Jane") == ("", "Jane")
""",
    },
    culprit=Step(
        "split: one way for all names",
        (
            (
                "contacts/names.py",
                """    if "," in name:
        last, _, first = name.partition(",")
        return first.strip(), last.strip()
""",
                "",
            ),
        ),
    ),
    later=(
        Step(
            "A class for names",
            files={
                "contacts/names.py": """\"\"\"Names of contacts.\"\"\"


class Names:
    \"\"\"Takes names apart.\"\"\"

    def split(self, name):
        name = " ".join(name.split())
        first, _, last = name.rpartition(" ")
        return first, last

    def initials(self, name):
        return "".join(part[0] for part in self.split(name) if part)
""",
                "tests/test_names.py": """from contacts.names import Names


def test_split():
    assert Names().split("Jane Q Doe") == ("Jane Q", "Doe")


def test_one():
    assert Names().split("Jane") == ("", "Jane")
""",
            },
        ),
    ),
    hidden="""from contacts.names import Names


def test_all():
    assert Names().split("Doe, Jane") == ("Jane", "Doe")
    assert Names().split("Jane Doe") == ("Jane", "Doe")
    assert Names().initials("Doe, Jane") == "JD"
""",
)

LAX_RANGE = Regression(
    name="lax_range",
    kind="a check that raised is gone, 4 lines",
    issue="""Day 31 of February is accepted
`check` should refuse it, as it did before:

```
>>> from dates.checks import check
>>> check(2023, 2, 31)   # should be False
True
```
""",
    start={
        "dates/__init__.py": "",
        "dates/checks.py": """\"\"\"Checks of dates.\"\"\"

LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def length(year, month):
    if month == 2 and is_leap(year):
        return 29
    return LENGTHS[month - 1]


def check(year, month, day):
    if not 1 <= month <= 12:
        return False
    if day < 1 or day > length(year, month):
        return False
    return year > 0
""",
        "tests/test_checks.py": """from dates.checks import check, is_leap, length


def test_good():
    assert check(2024, 5, 17)


def test_month():
    assert not check(2024, 13, 1)


def test_year():
    assert not check(0, 1, 1)


def test_leap():
    assert is_leap(2000) and not is_leap(1900) and length(2024, 2) == 29
""",
    },
    culprit=Step(
        "Checks in one expression",
        (
            (
                "dates/checks.py",
                """    if not 1 <= month <= 12:
        return False
    if day < 1 or day > length(year, month):
        return False
    return year > 0
""",
                """    return 1 <= month <= 12 and 1 <= day <= max(LENGTHS) and year > 0
""",
            ),
        ),
    ),
    hidden="""from dates.checks import check


def test_all():
    assert check(2023, 2, 31) is False
    assert check(2024, 2, 29) is True
    assert check(2023, 2, 29) is False
    assert check(2023, 12, 31) is True
    assert check(2023, 0, 5) is False
    assert check(2023, 4, 0) is False
""",
)

MERGED_LAYERS = Regression(
    name="merged_layers",
    kind="a loop over layers becomes an update, two hunks, a feature beside",
    issue="""Settings that are None hide those of the layer below
```
>>> from settings_app.layers import merged
>>> merged([{"size": 3}, {"size": None}])   # should be {'size': 3}
{'size': None}
```
Before the last release None meant: not set.
""",
    start={
        "settings_app/__init__.py": "",
        "settings_app/layers.py": """\"\"\"Settings in layers; a later layer wins.\"\"\"


def merged(layers):
    result = {}
    for layer in layers:
        for name, value in layer.items():
            if value is not None:
                result[name] = value
    return result


def names(layers):
    return sorted({name for layer in layers for name in layer})
""",
        "tests/test_layers.py": """from settings_app.layers import merged, names


def test_merged():
    assert merged([{"a": 1, "b": 2}, {"b": 3}]) == {"a": 1, "b": 3}


def test_names():
    assert names([{"b": 1}, {"a": 2}]) == ["a", "b"]
""",
    },
    culprit=Step(
        "Layers may be empty; origins of settings",
        (
            (
                "settings_app/layers.py",
                """    for layer in layers:
        for name, value in layer.items():
            if value is not None:
                result[name] = value
    return result
""",
                """    for layer in layers:
        result.update(layer)
    return result


def origin(layers, name):
    found = [n for n, layer in enumerate(layers) if name in layer]
    return found[-1] if found else None
""",
            ),
            (
                "settings_app/layers.py",
                "    return sorted({name for layer in layers for name in layer})",
                "    return sorted({name for layer in layers if layer for name in layer})",
            ),
            (
                "tests/test_layers.py",
                "from settings_app.layers import merged, names",
                "from settings_app.layers import merged, names, origin",
            ),
            (
                "tests/test_layers.py",
                "def test_names():",
                'def test_origin():\n    assert origin([{"a": 1}, {"a": 2}], "a") == 1\n'
                "    assert names([{}, None]) == []\n\n\ndef test_names():",
            ),
        ),
    ),
    hidden="""from settings_app.layers import merged, names, origin


def test_all():
    assert merged([{"size": 3}, {"size": None}]) == {"size": 3}
    assert merged([{"a": None}]) == {}
    assert merged([{"a": 1}, {"a": 0}]) == {"a": 0}
    assert origin([{"a": 1}, {}], "a") == 0
    assert names([None, {"b": 1}]) == ["b"]
""",
)

SHARED_HELPER = Regression(
    name="shared_helper",
    kind="two copies become one helper, which rounds otherwise, three files",
    issue="""Tips are rounded down
```
>>> from bill.tips import tip
>>> tip(1999)   # should be 200
199
```
Up to May a tip of ten percent was rounded to the nearest cent.
""",
    start={
        "bill/__init__.py": "",
        "bill/tips.py": """\"\"\"Tips.\"\"\"

PERCENT = 10


def tip(cents):
    return (cents * PERCENT + 50) // 100


def with_tip(cents):
    return cents + tip(cents)
""",
        "bill/discounts.py": """\"\"\"Discounts.\"\"\"


def discount(cents, percent):
    return cents * percent // 100


def reduced(cents, percent):
    return cents - discount(cents, percent)
""",
        "tests/test_bill.py": """from bill.discounts import discount, reduced
from bill.tips import tip, with_tip


def test_tip():
    assert tip(2000) == 200
    assert with_tip(100) == 110


def test_discount():
    assert discount(199, 50) == 99
    assert reduced(200, 25) == 150
""",
    },
    culprit=Step(
        "One function for percentages",
        (
            (
                "bill/tips.py",
                """PERCENT = 10


def tip(cents):
    return (cents * PERCENT + 50) // 100
""",
                """from bill.percent import share

PERCENT = 10


def tip(cents):
    return share(cents, PERCENT)
""",
            ),
            (
                "bill/discounts.py",
                """\"\"\"Discounts.\"\"\"


def discount(cents, percent):
    return cents * percent // 100
""",
                """\"\"\"Discounts.\"\"\"

from bill.percent import share


def discount(cents, percent):
    return share(cents, percent)
""",
            ),
        ),
        files={
            "bill/percent.py": """\"\"\"Percentages.\"\"\"


def share(cents, percent):
    return cents * percent // 100
"""
        },
    ),
    hidden="""from bill.discounts import discount
from bill.tips import tip, with_tip


def test_all():
    assert tip(1999) == 200
    assert tip(1994) == 199
    assert with_tip(1999) == 2199
    assert discount(199, 50) == 99
""",
)

UNSEEN = (
    LAST_CHUNK,
    STRICT_PATTERN,
    DURATION_WORDS,
    PULLED_UP,
    CLAMPED_LEVEL,
    SPLIT_NAMES,
    LAX_RANGE,
    MERGED_LAYERS,
    SHARED_HELPER,
)
