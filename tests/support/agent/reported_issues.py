# ruff: noqa: E501
"""Thirty issues as people write them, each with a small module that has the bug.

The facts are of closed bugs of public repositories (`source`), the wording and the code are our
own. `kept_back` marks those that the issue reader was not tuned on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportedIssue:
    """An issue, and the module it is about."""

    name: str
    """Also the module's name."""
    source: str
    right: str
    """The module's text with the later fix."""
    fixed: str
    """The part of it that the fix changed."""
    faulty: str
    """What stood there before."""
    title: str
    body: str
    kept_back: bool = False

    @property
    def buggy(self) -> str:
        """The module's text as it was when the issue was written."""
        assert self.right.count(self.fixed) == 1, self.name
        return self.right.replace(self.fixed, self.faulty)


KEPT_BACK = (
    ReportedIssue(
        "large_numbers",
        "jmoiron/humanize#59",
        """UNITS = ["", " thousand", " million", " billion", " trillion"]


def in_words(number):
    step, value = 0, float(number)
    while round(value, 1) >= 1000 and step < len(UNITS) - 1:
        step, value = step + 1, value / 1000
    return f"{value:.1f}{UNITS[step]}"
""",
        "round(value, 1) >= 1000",
        "value >= 1000",
        "999999999 ought to read '1.0 billion' and does not",
        "```pycon\n>>> import large_numbers\n>>> large_numbers.in_words(999999999)\n"
        "'1000.0 million'\n```\n\nA bit below the billion the text rolls over too late.\n",
        True,
    ),
    ReportedIssue(
        "windows",
        "more-itertools/more-itertools#462",
        """def windowed(items, size):
    items = list(items)
    if not items:
        return
    if len(items) < size:
        yield tuple(items + [None] * (size - len(items)))
    for start in range(len(items) - size + 1):
        yield tuple(items[start : start + size])
""",
        "    if not items:\n        return\n",
        "",
        "Surprising window over nothing",
        ">>> from windows import windowed; data = ()\n>>> tuple(windowed(data, 2))\n"
        "((None, None),)\n\nNothing in, so I would expect nothing out: `()`.\n",
        True,
    ),
    ReportedIssue(
        "versions",
        "python-semver/python-semver#45",
        """def key(part):
    return (0, int(part), "") if part.isdigit() else (1, 0, part)


def compare(left, right):
    a = [key(p) for p in left.partition("-")[2].split(".")]
    b = [key(p) for p in right.partition("-")[2].split(".")]
    return (a > b) - (a < b)
""",
        '(0, int(part), "") if part.isdigit() else (1, 0, part)',
        "(1, 0, part)",
        "Ordre des préversions incorrect",
        "Bonjour,\n\n`compare('1.0.0-beta.2', '1.0.0-beta.11')` renvoie `1` au lieu de `-1` : les "
        "parties numériques sont comparées comme du texte.\n",
        True,
    ),
    ReportedIssue(
        "env_file",
        "theskumar/python-dotenv#35",
        """def parse_line(line):
    name, _, value = line.partition("=")
    value = value.strip()
    if value[:1] in ('"', "'") and value[-1:] == value[:1]:
        value = value[1:-1]
    return name.strip(), value
""",
        "('\"', \"'\")",
        "('\"',)",
        "Einfache Anführungszeichen bleiben stehen",
        "Ich rufe `parse_line(\"URL='postgres'\")` auf und erhalte `('URL', \"'postgres'\")`, "
        "erwartet hätte ich `('URL', 'postgres')`.\n",
        True,
    ),
    ReportedIssue(
        "ordinals",
        "jaraco/inflect#259",
        """def ordinal(number):
    size = abs(int(number))
    if size % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}" + {1: "st", 2: "nd", 3: "rd"}.get(size % 10, "th")
""",
        "abs(int(number))",
        "int(number)",
        "Negative numbers get the wrong ending",
        "| call | now | right |\n|---|---|---|\n| `ordinal(-1)` | `'-1th'` | `'-1st'` |\n"
        "| `ordinal(-22)` | `'-22th'` | `'-22nd'` |\n| `ordinal(5)` | `'5th'` | `'5th'` |\n",
        True,
    ),
    ReportedIssue(
        "plain_table",
        "astanin/python-tabulate#223",
        """def columns(rows):
    return len(rows[0]) if rows else 0


def render(rows, width=None):
    if width is not None:
        rows = [[str(c)[:width] for c in row] for row in rows]
    if width is not None and columns(rows) == 0:
        return ""
    return "\\n".join("  ".join(map(str, row)) for row in rows)
""",
        "len(rows[0]) if rows else 0",
        "len(rows[0])",
        "No rows and a width: crash",
        "```\n>>> from plain_table import render; rows = []; limit = 10\n>>> render(rows)\n''\n"
        ">>> render(rows, width=limit)\nTraceback (most recent call last):\n"
        '  File "<stdin>", line 1, in <module>\n'
        '  File "/home/me/env/lib/plain_table.py", line 8, in render\n'
        "    if width is not None and columns(rows) == 0:\n"
        '  File "/home/me/env/lib/plain_table.py", line 2, in columns\n'
        "    return len(rows[0])\nIndexError: list index out of range\n```\n",
        True,
    ),
    ReportedIssue(
        "row_store",
        "prettytable/prettytable#377",
        """class Rows:
    def __init__(self):
        self.rows = []
        self.last = None

    def add_rows(self, rows):
        self.rows.extend(rows)
        if rows:
            self.last = rows[-1]
        return len(self.rows)
""",
        "        if rows:\n            self.last = rows[-1]\n",
        "        self.last = rows[-1]\n",
        "Adding no rows",
        "**What I did**: `Rows().add_rows([])`\n\n**What happened**: it raises IndexError since the "
        "last release.\n\n**What should happen**: nothing, it just goes on.\n",
        True,
    ),
    ReportedIssue(
        "addresses",
        "aio-libs/yarl#1157",
        """def with_host(host, port=None):
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}" + (f":{port}" if port else "")
""",
        '    if ":" in host:\n',
        '    if ":" in host and port:\n',
        "Brackets get lost",
        "from addresses import with_host\nwith_host('::1')\n'http://::1'\n\nShould be "
        "`'http://[::1]'`, as with a port.\n",
        True,
    ),
    ReportedIssue(
        "spans",
        "jaraco/tempora#53",
        """UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text):
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    return sign * int(text[:-1]) * UNITS[text[-1]]
""",
        "sign * int",
        "int",
        "The sign is dropped",
        "With a leading minus `seconds` returns 1 for '-1s' and 120 for '-2m' instead of -1 and "
        "-120.\n",
        True,
    ),
    ReportedIssue(
        "clock_offsets",
        "pydantic/pydantic#8450",
        """def hours(text):
    sign = -1 if text[0] == "-" else 1
    hour, minute = text.lstrip("-").split(":")
    return sign * (int(hour) + int(minute) / 60)
""",
        "sign * (int(hour) + int(minute) / 60)",
        "sign * int(hour) + int(minute) / 60",
        "Off by an hour",
        "This test of mine fails:\n\n```python\nimport pytest\nfrom clock_offsets import hours\n\n\n"
        "@pytest.mark.parametrize(\n    ('text', 'value'), [('-01:30', -1.5), ('-04:00', -4.0)]\n)\n"
        "def test_negative_offsets(text, value):\n    assert hours(text) == value\n```\n",
        True,
    ),
)

TUNED_ON = (
    ReportedIssue(
        "singulars",
        "jaraco/inflect#30",
        """KEPT = {"cookies": "cookie", "movies": "movie"}


def singular(phrase):
    *rest, last = phrase.split(" ")
    if last in KEPT:
        last = KEPT[last]
    elif last.endswith("ies"):
        last = last[:-3] + "y"
    elif last.endswith("s"):
        last = last[:-1]
    return " ".join([*rest, last])
""",
        "    if last in KEPT:\n        last = KEPT[last]\n",
        "    if phrase in KEPT:\n        last = KEPT[last]\n",
        "`chocolate chip cookies` become `chocolate chip cooky`",
        "``` python\nfrom singulars import singular\nsingular('cookies')\n# 'cookie'\n\n"
        "singular('chocolate chip cookies')\n# 'chocolate chip cooky'\n```\n\nI would expect to see "
        "`chocolate chip cookie` instead of `chocolate chip cooky`.\n",
    ),
    ReportedIssue(
        "header_rows",
        "astanin/python-tabulate#138",
        """def header(rows, headers):
    if headers == "firstrow":
        return list(rows[0]) if rows else []
    return list(headers)
""",
        "        return list(rows[0]) if rows else []\n    return list(headers)\n",
        "        if rows:\n            return list(rows[0])\n    return list(headers)\n",
        "Letters of 'firstrow' as headers",
        "When there is no data at all, `header([], 'firstrow')` gives "
        "`['f', 'i', 'r', 's', 't', 'r', 'o', 'w']` but I want `[]`.\n",
    ),
    ReportedIssue(
        "bumping",
        "rbarrois/python-semanticversion#24",
        """def next_minor(version):
    number, _, pre = version.partition("-")
    major, minor, patch = (int(n) for n in number.split("."))
    if pre and patch == 0:
        return number
    return f"{major}.{minor + 1}.0"
""",
        "    if pre and patch == 0:\n        return number\n",
        "",
        "Version bump from prereleases",
        "I tried `next_minor`:\n\n| Input | Output | Expected |\n| :--- | --- | ---: |\n"
        "| '1.0.0-dev' | '1.1.0' | '1.0.0' |\n| '1.0.1-dev' | '1.1.0' | '1.1.0' |\n"
        "| '1.1.0-dev' | '1.2.0' | '1.1.0' |\n",
    ),
    ReportedIssue(
        "slugs",
        "voronind/awesome-slugify#9",
        """def join_words(words, separator):
    words = iter(words)
    text = next(words, "")
    for word in words:
        text += separator + word
    return text


def slug(text, separator="-"):
    return join_words(text.lower().split(), separator)
""",
        'next(words, "")',
        "next(words)",
        "Exception on empty strings",
        "```\n>>> from slugs import slug; text = ''\n>>> slug(text, separator='_')\n"
        "Traceback (most recent call last):\n"
        '  File "<stdin>", line 1, in <module>\n'
        '  File "/usr/lib/python3/dist-packages/slugs.py", line 10, in slug\n'
        "    return join_words(text.lower().split(), separator)\n"
        '  File "/usr/lib/python3/dist-packages/slugs.py", line 3, in join_words\n'
        "    text = next(words)\nStopIteration\n```\n",
    ),
    ReportedIssue(
        "settings_file",
        "theskumar/python-dotenv#157",
        """import re


def read(text):
    return dict(re.findall(r"^(\\w+)=[ \\t]*(.*)$", text, re.M))
""",
        "[ \\t]*",
        "\\s*",
        "Empty values swallow the next line",
        "Since the update:\n\n```\n>>> from settings_file import read\n>>> text = 'A=\\n\\nB=1\\n'; "
        "read(text)\n{'A': 'B=1'}\n```\n\nPrevious (correct) behaviour: `{'A': '', 'B': '1'}`\n",
    ),
    ReportedIssue(
        "net_locations",
        "aio-libs/yarl#451",
        """def with_port(host, port):
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}"
""",
        'f"[{host}]" if ":" in host else host',
        "host",
        "`with_port` makes a wrong address",
        "```python\nfrom net_locations import with_port\nprint(with_port('2001:db8::1', 80))\n```\n"
        "prints:\n```\n2001:db8::1:80\n```\nbut must be:\n```\n[2001:db8::1]:80\n```\n",
    ),
    ReportedIssue(
        "word_forms",
        "jpvanhal/inflection#63",
        """import re


def singularize(word):
    if re.search(r"^(?:cow|kine)$", word):
        return "cow"
    return re.sub(r"our$", "my", word) if word == "hour-our" else re.sub(r"s$", "", word)
""",
        'if word == "hour-our" else',
        'if word.endswith("our") else',
        "singularize('flour') = 'flmy'",
        "All words with 'our' at the end are changed.\n\n`singularize('flour')`\noutput: 'flmy'\n"
        "expected: 'flour'\n",
    ),
    ReportedIssue(
        "durations",
        "django/django#10999",
        """def parse(text):
    sign = -1 if text.startswith("-") else 1
    minutes, seconds = text.lstrip("-").split(":")
    return sign * (int(minutes) * 60 + int(seconds))
""",
        "sign * (int(minutes) * 60 + int(seconds))",
        "sign * int(minutes) * 60 + int(seconds)",
        "Negative durations are off",
        "I get `45` from `parse('-00:45')`. The result should be `-45`.\n",
    ),
    ReportedIssue(
        "german_numbers",
        "python-humanize/humanize#175",
        """def millions(number):
    value = round(number / 1000000, 1)
    return f"{value} " + ("Million" if value == 1 else "Millionen")
""",
        "if value == 1 else",
        "if number == 1000000 else",
        "Plural trotz gerundeter Eins",
        "`millions(1000001)` liefert `'1.0 Millionen'` statt `'1.0 Million'`.\n",
    ),
    ReportedIssue(
        "comments",
        "theskumar/python-dotenv#180",
        """def value_of(line):
    value = line.partition("=")[2]
    return value.partition(" #")[0].strip()
""",
        '" #"',
        '"#"',
        "Um `#` sem espaço antes corta o valor",
        "A chamada `value_of('COLOR=a#b')` retorna `'a'`, mas deveria retornar `'a#b'`.\n",
    ),
    ReportedIssue(
        "dates",
        "dateutil/dateutil#187",
        """def year_of(text):
    if not text.strip():
        raise ValueError("no date in an empty text")
    return int(text[:4])
""",
        '    if not text.strip():\n        raise ValueError("no date in an empty text")\n',
        "    if not text.strip():\n        return 2016\n",
        "An empty text is taken for today",
        "Parsing an empty string: `year_of('')` quietly returns `2016`. A ValueError is expected "
        "here.\n",
    ),
    ReportedIssue(
        "iso_periods",
        "pandas-dev/pandas#29773",
        """import re


def hours(text):
    found = re.fullmatch(r"P(?:(\\d+)D)?(?:T(\\d+)H)?", text)
    days, rest = found.groups()
    return int(days or 0) * 24 + int(rest or 0)
""",
        '(?:T(\\d+)H)?", text)',
        '(?:T(\\d+)H)?()", text)',
        "ISO-8601 periods",
        "In [1]: from iso_periods import hours\n\nIn [2]: hours('P1DT1H')\n"
        "---------------------------------------------------------------------------\n"
        "ValueError                                Traceback (most recent call last)\n"
        "Cell In[2], line 1\n----> 1 hours('P1DT1H')\n\n"
        "File iso_periods.py:6, in hours(text)\n      4 def hours(text):\n"
        "----> 6     days, rest = found.groups()\n\n"
        "ValueError: too many values to unpack (expected 2)\n",
    ),
    ReportedIssue(
        "safe_links",
        "scrapy/w3lib#193",
        """from urllib.parse import urlsplit


def origin(url):
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
""",
        "{parts.netloc}",
        "{parts.hostname}",
        "Direct IPv6 request fails",
        "In [5]: from safe_links import origin\nIn [6]: origin('https://[2402::3b6]/x')\n"
        "Out[6]: 'https://2402::3b6'\n\nThe brackets are needed, `https://[2402::3b6]` is what I "
        "expected.\n",
    ),
    ReportedIssue(
        "phrases",
        "jaraco/inflect#10",
        """def singular(word):
    return word[:-1] if word.endswith("s") else False


def phrase(text):
    return " ".join(singular(w) or w for w in text.split())
""",
        "singular(w) or w",
        "singular(w)",
        "A certain phrase is a TypeError",
        "Calling `phrase` with 'case of diapers' raises a TypeError, while 'things' works.\n",
    ),
    ReportedIssue(
        "chunks",
        "more-itertools/more-itertools#56",
        """def chunked(items, size):
    items = list(items)
    return [items[at : at + size] for at in range(0, len(items), size)]
""",
        "range(0, len(items), size)",
        "range(0, len(items) + 1, size)",
        "Even sizes",
        "There is a problem with sizes that divide evenly:\n\n    chunked(range(4), 4)\n    "
        "[[0, 1, 2, 3], []]\n\nThe last, empty one is too much. Expected:\n\n    [[0, 1, 2, 3]]\n",
    ),
    ReportedIssue(
        "file_sizes",
        "python-humanize/humanize#250",
        """def natural(value):
    size = float(value)
    if size == 1:
        return "1 Byte"
    return f"{size:.0f} Bytes"
""",
        "size == 1:",
        "value == 1:",
        "Texto con número: singular",
        "Si llamo a `natural('1')` obtengo `'1 Bytes'` en lugar de `'1 Byte'`.\n",
    ),
    ReportedIssue(
        "truncation",
        "un33k/python-slugify#186",
        """def smart_truncate(text, length, separator=" "):
    if len(text) <= length:
        return text
    if not separator:
        return text[:length]
    kept = ""
    for word in text.split(separator):
        if len(kept) + len(word) > length:
            break
        kept += word
    return kept
""",
        "    if not separator:\n        return text[:length]\n",
        "",
        "smart_truncate breaks without a separator",
        "smart_truncate('abcdef', 3, separator='') throws ValueError. It should cut hard and give "
        "'abc'.\n",
    ),
    ReportedIssue(
        "plain_versions",
        "ludeeus/awesomeversion#547",
        """def older(left, right):
    a, b = left.partition("-")[2], right.partition("-")[2]
    if a.isdigit() and b.isdigit():
        return int(a) < int(b)
    return a < b
""",
        "    if a.isdigit() and b.isdigit():\n        return int(a) < int(b)\n",
        "",
        "Numeric prereleases do not compare",
        "from plain_versions import older\nprint(older('3.0.0-9', '3.0.0-11'))\n# False\n\n"
        "Must be `True`.\n",
    ),
    ReportedIssue(
        "storage_units",
        "jmoiron/humanize#59 (a comment)",
        """def kibibytes(size):
    if round(size / 1024) >= 1024:
        return f"{size / 1024 ** 2:.1f} MiB"
    return f"{size / 1024:.1f} KiB"
""",
        "round(size / 1024) >= 1024",
        "size / 1024 >= 1024",
        "Rolls over too late",
        "kibibytes gives '1.0 MiB' for 1048576, but for 1048575 it gives '1024.0 KiB' where "
        "'1.0 MiB' would be right.\n",
    ),
    ReportedIssue(
        "quoting",
        "theskumar/python-dotenv#215",
        """def quoted(value):
    return '"' + value.replace('"', '\\\\"') + '"'
""",
        "value.replace('\"', '\\\\\"')",
        "value",
        "Quotes are not escaped",
        "Here is a unit test that shows it:\n\n```python\nimport unittest\nfrom quoting import quoted\n"
        "\nclass TestQuoting(unittest.TestCase):\n    def test_inner_quotes(self):\n"
        "        self.assertEqual(quoted('a\"b'), '\"a\\\\\"b\"')\n\nif __name__ == '__main__':\n"
        "    unittest.main()\n```\n",
    ),
)

REPORTED_ISSUES = (*KEPT_BACK, *TUNED_ON)
