"""Regressions that the search with history was built with. Others are set aside: `unseen.py`."""

from __future__ import annotations

from tests.support.agent.regressions.records import Regression, Step

FREE_SHIPPING = Regression(
    name="free_shipping",
    kind="one operator, 1 line",
    issue="""Shipping is charged at exactly 50
Since the last release an order of exactly 50 pays for shipping. It was free from 50 on.

```
>>> from shop.shipping import cost
>>> cost(50, "DE")   # should be 0
4.9
```
""",
    start={
        "shop/__init__.py": "",
        "shop/shipping.py": """\"\"\"What shipping costs.\"\"\"

FREE_FROM = 50
RATES = {"DE": 4.9, "AT": 7.5, "FR": 9.0}


def rate(country):
    if country not in RATES:
        raise KeyError(f"no rate for {country}")
    return RATES[country]


def cost(total, country):
    if total >= FREE_FROM:
        return 0
    return rate(country)
""",
        "tests/test_shipping.py": """import pytest

from shop.shipping import cost


def test_small_orders_pay():
    assert cost(10, "AT") == 7.5


def test_large_orders_are_free():
    assert cost(80, "FR") == 0


def test_unknown_country():
    with pytest.raises(KeyError):
        cost(1, "XX")
""",
    },
    culprit=Step(
        "Say more clearly when shipping is free",
        (("shop/shipping.py", "if total >= FREE_FROM:", "if total > FREE_FROM:"),),
    ),
    hidden="""from shop.shipping import cost


def test_border():
    assert cost(50, "DE") == 0
    assert cost(49.99, "DE") == 4.9
    assert cost(51, "FR") == 0
""",
)

EMPTY_AVERAGE = Regression(
    name="empty_average",
    kind="a guard removed, 2 lines",
    issue="""ZeroDivisionError for a course without grades
report() worked for new courses, now it fails:

```
>>> from school.report import average
>>> average([])   # should be None
ZeroDivisionError: division by zero
```
""",
    start={
        "school/__init__.py": "",
        "school/report.py": """\"\"\"Figures for a course.\"\"\"


def average(grades, digits=2):
    \"\"\"The mean of the grades.\"\"\"
    if not grades:
        return None
    total = 0
    for grade in grades:
        total += grade
    return round(total / len(grades), digits)


def spread(grades):
    return max(grades) - min(grades)
""",
        "tests/test_report.py": """from school.report import average, spread


def test_average():
    assert average([1, 2, 4]) == 2.33
    assert average([1, 2, 4], digits=0) == 2


def test_spread():
    assert spread([3, 1, 2]) == 2
""",
    },
    culprit=Step(
        "Use sum",
        (
            (
                "school/report.py",
                """    if not grades:
        return None
    total = 0
    for grade in grades:
        total += grade
    return round(total / len(grades), digits)
""",
                """    return round(sum(grades) / len(grades), digits)
""",
            ),
        ),
    ),
    hidden="""from school.report import average


def test_all():
    assert average([]) is None
    assert average([], digits=1) is None
    assert average([1, 2]) == 1.5
    assert average([0, 0]) == 0
""",
)

UNIT_TABLE = Regression(
    name="unit_table",
    kind="an if chain becomes a table and loses a case, 14 lines",
    issue="""Dozens are counted as single pieces
`pieces` used to know dozens:

```
>>> from store.units import pieces
>>> pieces(3, "dozen")   # should be 36
3
```
""",
    start={
        "store/__init__.py": "",
        "store/units.py": """\"\"\"Amounts in pieces.\"\"\"


def pieces(amount, unit):
    if unit == "pair":
        return amount * 2
    elif unit == "dozen" or unit == "doz":
        return amount * 12
    elif unit == "gross":
        return amount * 144
    elif unit.startswith("pack of "):
        return amount * int(unit.rpartition(" ")[2])
    else:
        return amount


def label(amount, unit):
    return f"{amount} {unit}{'s' if amount != 1 else ''}"
""",
        "tests/test_units.py": """from store.units import label, pieces


def test_pairs():
    assert pieces(4, "pair") == 8


def test_packs():
    assert pieces(2, "pack of 6") == 12


def test_single():
    assert pieces(5, "piece") == 5


def test_label():
    assert label(2, "pair") == "2 pairs"
""",
    },
    culprit=Step(
        "A table in place of the chain",
        (
            (
                "store/units.py",
                '''"""Amounts in pieces."""

''',
                '''"""Amounts in pieces."""

SIZES = {
    "pair": 2,
    "gross": 144,
}

''',
            ),
            (
                "store/units.py",
                """    if unit == "pair":
        return amount * 2
    elif unit == "dozen" or unit == "doz":
        return amount * 12
    elif unit == "gross":
        return amount * 144
    elif unit.startswith("pack of "):
        return amount * int(unit.rpartition(" ")[2])
    else:
        return amount
""",
                """    if unit.startswith("pack of "):
        return amount * int(unit.rpartition(" ")[2])
    return amount * SIZES.get(unit, 1)
""",
            ),
        ),
    ),
    hidden="""from store.units import pieces


def test_all():
    assert pieces(3, "dozen") == 36
    assert pieces(1, "doz") == 12
    assert pieces(2, "gross") == 288
    assert pieces(2, "pair") == 4
    assert pieces(7, "pack of 10") == 70
""",
)

CURRENCY_COLUMN = Regression(
    name="currency_column",
    kind="a feature in four hunks, one of them wrong, 11 lines",
    issue="""Negative amounts lose their sign
In the statement a refund is shown as if it were a payment:

```
>>> from bank.statement import amount_text
>>> amount_text(-1250)   # should be '-12.50'
'12.50'
```
""",
    start={
        "bank/__init__.py": "",
        "bank/statement.py": """\"\"\"Statements as text.\"\"\"


def amount_text(cents):
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}{whole}.{rest:02d}"


def line(entry):
    return f"{entry['day']}  {entry['text']:<12} {amount_text(entry['cents']):>10}"


def statement(entries):
    return "\\n".join(line(entry) for entry in entries)


def total(entries):
    return sum(entry["cents"] for entry in entries)
""",
        "tests/test_statement.py": """from bank.statement import statement, total

ENTRIES = [{"day": "1 May", "text": "Rent", "cents": 70000}]


def test_statement():
    assert statement(ENTRIES) == "1 May  Rent             700.00"


def test_total():
    assert total(ENTRIES) == 70000
""",
    },
    culprit=Step(
        "Statements may have a currency (#12)",
        (
            (
                "bank/statement.py",
                """    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}{whole}.{rest:02d}"
""",
                """    whole, rest = divmod(abs(cents), 100)
    return f"{whole}.{rest:02d}"
""",
            ),
            (
                "bank/statement.py",
                """def line(entry):
    return f"{entry['day']}  {entry['text']:<12} {amount_text(entry['cents']):>10}"
""",
                """def line(entry, currency=""):
    shown = f"{entry['day']}  {entry['text']:<12} {amount_text(entry['cents']):>10}"
    return f"{shown} {currency}".rstrip()
""",
            ),
            (
                "bank/statement.py",
                """def statement(entries):
    return "\\n".join(line(entry) for entry in entries)
""",
                """def statement(entries, currency=""):
    return "\\n".join(line(entry, currency) for entry in entries)
""",
            ),
            (
                "tests/test_statement.py",
                """def test_total():""",
                """def test_currency():
    assert statement(ENTRIES, "EUR") == "1 May  Rent             700.00 EUR"


def test_total():""",
            ),
        ),
    ),
    hidden="""from bank.statement import amount_text, statement


def test_all():
    assert amount_text(-1250) == "-12.50"
    assert amount_text(-5) == "-0.05"
    assert amount_text(1250) == "12.50"
    entry = {"day": "2 May", "text": "Refund", "cents": -100}
    assert statement([entry], "CHF").endswith("-1.00 CHF")
""",
)

TAG_NAMES = Regression(
    name="tag_names",
    kind="one call dropped, the line edited again later",
    issue="""Tags with spaces around them are different tags
```
>>> from notes.tags import tags_of
>>> tags_of("work, home")   # should be ['home', 'work']
[' home', 'work']
```

That was right in 1.2.
""",
    start={
        "notes/__init__.py": "",
        "notes/tags.py": """\"\"\"Tags of a note.\"\"\"


def tags_of(line):
    tags = set()
    for part in line.split(","):
        tag = part.strip().lower()
        if tag:
            tags.add(tag)
    return sorted(tags)


def common(one, other):
    return sorted(set(tags_of(one)) & set(tags_of(other)))
""",
        "tests/test_tags.py": """from notes.tags import common, tags_of


def test_tags():
    assert tags_of("Work,home,work") == ["home", "work"]


def test_common():
    assert common("a,b", "b,c") == ["b"]
""",
    },
    culprit=Step(
        "Simplify tags",
        (("notes/tags.py", "        tag = part.strip().lower()", "        tag = part.lower()"),),
    ),
    later=(
        Step(
            "Better names in tags_of",
            (
                (
                    "notes/tags.py",
                    """    tags = set()
    for part in line.split(","):
        tag = part.lower()
        if tag:
            tags.add(tag)
    return sorted(tags)
""",
                    """    found = set()
    for part in line.split(","):
        name = part.lower()
        if name:
            found.add(name)
    return sorted(found)
""",
                ),
            ),
        ),
    ),
    hidden="""from notes.tags import common, tags_of


def test_all():
    assert tags_of("work, home") == ["home", "work"]
    assert tags_of(" , a ") == ["a"]
    assert common("a, b", "b ,c") == ["b"]
""",
)

MOVED_SLUGS = Regression(
    name="moved_slugs",
    kind="the function was moved to another file later, 6 lines",
    issue="""Two dashes in a row in addresses of pages
```
>>> from site_tools.pages import address
>>> address({"folder": "food", "title": "Fish & Chips"})   # should be '/food/fish-chips'
'/food/fish--chips'
```

It was right until some weeks ago.
""",
    start={
        "site_tools/__init__.py": "",
        "site_tools/pages.py": """\"\"\"Pages of the site.\"\"\"


def slug(title):
    out = []
    for char in title.lower():
        if char.isalnum():
            out.append(char)
        elif out and out[-1] != "-":
            out.append("-")
    return "".join(out).strip("-")


def address(page):
    return f"/{page['folder']}/{slug(page['title'])}"
""",
        "tests/test_pages.py": """from site_tools.pages import address


def test_address():
    assert address({"folder": "news", "title": "Hello World"}) == "/news/hello-world"
""",
    },
    culprit=Step(
        "Faster slugs",
        (
            (
                "site_tools/pages.py",
                """    out = []
    for char in title.lower():
        if char.isalnum():
            out.append(char)
        elif out and out[-1] != "-":
            out.append("-")
    return "".join(out).strip("-")
""",
                """    kept = "".join(c for c in title.lower() if c.isalnum() or c == " ")
    return kept.strip().replace(" ", "-")
""",
            ),
        ),
    ),
    later=(
        Step(
            "Text functions in a module of their own",
            files={
                "site_tools/text.py": """\"\"\"Text functions.\"\"\"


def short(text, most=60):
    return text if len(text) <= most else text[: most - 1] + "…"


def slug(title):
    kept = "".join(c for c in title.lower() if c.isalnum() or c == " ")
    return kept.strip().replace(" ", "-")
""",
                "site_tools/pages.py": """\"\"\"Pages of the site.\"\"\"

from site_tools.text import slug


def address(page):
    return f"/{page['folder']}/{slug(page['title'])}"
""",
            },
        ),
    ),
    hidden="""from site_tools.text import short, slug


def test_all():
    assert slug("Fish & Chips") == "fish-chips"
    assert slug(" a  b ") == "a-b"
    assert slug("Hello") == "hello"
    assert short("abc", 2) == "a…"
""",
)

RENAMED_FILE = Regression(
    name="renamed_file",
    kind="a loop becomes a call, the file renamed later, 7 lines",
    issue="""Words that occur twice are listed twice
```
>>> from words import first_words
>>> first_words("a b a c", 2)   # should be ['a', 'b']
['a', 'a']
```
""",
    start={
        "words/__init__.py": "from words.count import first_words, frequency\n",
        "words/count.py": """\"\"\"Counting words.\"\"\"


def first_words(text, most):
    \"\"\"The different words of a text, as they come, at most so many, in order.\"\"\"
    seen = []
    for word in text.split():
        if word not in seen:
            seen.append(word)
        if len(seen) == most:
            break
    return sorted(seen)


def frequency(text):
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def longest(text):
    return max(text.split(), key=len, default="")
""",
        "tests/test_words.py": """import words.count as module


def test_first_words():
    assert module.first_words("c b a", 3) == ["a", "b", "c"]


def test_frequency():
    assert module.frequency("a b a") == {"a": 2, "b": 1}
""",
    },
    culprit=Step(
        "first_words: no loop",
        (
            (
                "words/count.py",
                """    seen = []
    for word in text.split():
        if word not in seen:
            seen.append(word)
        if len(seen) == most:
            break
    return sorted(seen)
""",
                """    return sorted(text.split())[:most]
""",
            ),
        ),
    ),
    later=(
        Step(
            "A clearer name for the module",
            (
                ("words/__init__.py", "words.count ", "words.counting "),
                (
                    "tests/test_words.py",
                    "import words.count as module",
                    "import words.counting as module",
                ),
            ),
            files={
                "words/count.py": None,
                "words/counting.py": """\"\"\"Counting words.\"\"\"


def first_words(text, most):
    \"\"\"The different words of a text, as they come, at most so many, in order.\"\"\"
    return sorted(text.split())[:most]


def frequency(text):
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def longest(text):
    return max(text.split(), key=len, default="")
""",
            },
        ),
    ),
    hidden="""from words.counting import first_words


def test_all():
    assert first_words("a b a c", 2) == ["a", "b"]
    assert first_words("z y x", 2) == ["y", "z"]
    assert first_words("", 2) == []
""",
)

FEES_MOVED = Regression(
    name="fees_moved",
    kind="the culprit moves a function and drops a case, two files",
    issue="""Members pay the full fee
```
>>> from club.fees import fee
>>> fee(40, member=True)   # should be 30
60
```

Last year it was 30 for members under 60.
""",
    start={
        "club/__init__.py": "",
        "club/people.py": """\"\"\"People of the club.\"\"\"


def fee(age, member=False):
    if age < 18:
        return 0
    if member:
        return 30 if age < 60 else 15
    return 60


def full_name(person):
    return f"{person['first']} {person['last']}"
""",
        "club/fees.py": """\"\"\"What there is to pay.\"\"\"

from club.people import fee


def total(people):
    return sum(fee(p["age"], p.get("member", False)) for p in people)
""",
        "tests/test_club.py": """from club.fees import fee, total
from club.people import full_name


def test_children_are_free():
    assert fee(10) == 0


def test_guests():
    assert total([{"age": 30}, {"age": 70}]) == 120


def test_name():
    assert full_name({"first": "A", "last": "B"}) == "A B"
""",
    },
    culprit=Step(
        "Fees belong to the fees",
        files={
            "club/people.py": """\"\"\"People of the club.\"\"\"


def full_name(person):
    return f"{person['first']} {person['last']}"
""",
            "club/fees.py": """\"\"\"What there is to pay.\"\"\"


def fee(age, member=False):
    return 0 if age < 18 else 60


def total(people):
    return sum(fee(p["age"], p.get("member", False)) for p in people)
""",
        },
    ),
    hidden="""from club.fees import fee, total


def test_all():
    assert fee(40, member=True) == 30
    assert fee(70, member=True) == 15
    assert fee(17, member=True) == 0
    assert fee(40) == 60
    assert total([{"age": 61, "member": True}]) == 15
""",
)

TAX_TABLE = Regression(
    name="tax_table",
    kind="a table outside functions, 3 of its lines",
    issue="""Tax on books is wrong since the spring
```
>>> from tax.rules import tax
>>> tax("book", 200)   # should be 14
38
```
""",
    start={
        "tax/__init__.py": "",
        "tax/rates.py": """\"\"\"Rates in percent.\"\"\"

STANDARD = 19
RATES = {
    "food": 7,
    "book": 7,
    "newspaper": 7,
    "flowers": 7,
    "rent": 0,
}
""",
        "tax/rules.py": """\"\"\"Rules.\"\"\"

from tax.rates import RATES, STANDARD


def rate(kind):
    return RATES.get(kind, STANDARD)


def tax(kind, amount):
    return amount * rate(kind) // 100
""",
        "tests/test_tax.py": """from tax.rules import tax


def test_food():
    assert tax("food", 100) == 7


def test_rent():
    assert tax("rent", 100) == 0


def test_standard():
    assert tax("phone", 100) == 19
""",
    },
    culprit=Step(
        "Rates of 2025",
        (
            (
                "tax/rates.py",
                """    "book": 7,
    "newspaper": 7,
    "flowers": 7,
""",
                """    "hotel": 7,
""",
            ),
            (
                "tests/test_tax.py",
                """def test_rent():""",
                """def test_hotel():
    assert tax("hotel", 100) == 7


def test_rent():""",
            ),
        ),
    ),
    hidden="""from tax.rules import tax


def test_all():
    assert tax("book", 200) == 14
    assert tax("hotel", 100) == 7
    assert tax("phone", 100) == 19
""",
)

DATA_FILE = Regression(
    name="data_file",
    kind="a data file that is no Python, 2 lines",
    issue="""Short weekday names are wrong
```
>>> from calendar_tools.names import short
>>> short(3)   # should be 'Thu'
'Thr'
```
""",
    start={
        "calendar_tools/__init__.py": "",
        "calendar_tools/names.json": """{
  "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
  "months": ["Jan", "Feb", "Mar", "Apr", "May", "Jun",
             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
""",
        "calendar_tools/names.py": """\"\"\"Names of days and months.\"\"\"

import json
from pathlib import Path

NAMES = json.loads(Path(__file__).with_name("names.json").read_text())


def short(day):
    return NAMES["days"][day]


def month(number):
    return NAMES["months"][number - 1]
""",
        "tests/test_names.py": """from calendar_tools.names import month, short


def test_days():
    assert short(0) == "Mon"


def test_months():
    assert month(12) == "Dec"
""",
    },
    culprit=Step(
        "One name a line",
        (
            (
                "calendar_tools/names.json",
                """  "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
""",
                """  "days": [
    "Mon", "Tue", "Wed", "Thr", "Fri", "Sat", "Sun"
  ],
""",
            ),
        ),
    ),
    hidden="""from calendar_tools.names import month, short


def test_all():
    assert [short(n) for n in range(7)] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert month(1) == "Jan"
""",
)

CSV_REWRITE = Regression(
    name="csv_rewrite",
    kind="a parser written anew, 30 lines",
    issue="""Quoted fields with a comma are cut
```
>>> from table.reader import fields
>>> fields('1,"Doe, Jane",x')   # should be ['1', 'Doe, Jane', 'x']
['1', '"Doe', ' Jane"', 'x']
```

It could do that once.
""",
    start={
        "table/__init__.py": "",
        "table/reader.py": """\"\"\"Tables from text.\"\"\"


def fields(line, separator=","):
    found = []
    current = ""
    quoted = False
    at = 0
    while at < len(line):
        char = line[at]
        if quoted:
            if char == '"':
                if line[at + 1 : at + 2] == '"':
                    current += '"'
                    at += 1
                else:
                    quoted = False
            else:
                current += char
        elif char == '"':
            quoted = True
        elif char == separator:
            found.append(current)
            current = ""
        else:
            current += char
        at += 1
    found.append(current)
    return found


def rows(text, separator=","):
    return [fields(line, separator) for line in text.splitlines() if line.strip()]


def as_dicts(text):
    head, *rest = rows(text)
    return [dict(zip(head, row)) for row in rest]
""",
        "tests/test_reader.py": """from table.reader import as_dicts, fields, rows


def test_fields():
    assert fields("a,b,,c") == ["a", "b", "", "c"]


def test_separator():
    assert rows("a;b\\n\\nc;d", ";") == [["a", "b"], ["c", "d"]]


def test_dicts():
    assert as_dicts("x,y\\n1,2") == [{"x": "1", "y": "2"}]
""",
    },
    culprit=Step(
        "Read fields in two lines in place of thirty",
        (
            (
                "table/reader.py",
                """    found = []
    current = ""
    quoted = False
    at = 0
    while at < len(line):
        char = line[at]
        if quoted:
            if char == '"':
                if line[at + 1 : at + 2] == '"':
                    current += '"'
                    at += 1
                else:
                    quoted = False
            else:
                current += char
        elif char == '"':
            quoted = True
        elif char == separator:
            found.append(current)
            current = ""
        else:
            current += char
        at += 1
    found.append(current)
    return found
""",
                """    parts = line.split(separator)
    return parts
""",
            ),
        ),
    ),
    later=(
        Step(
            "Rows may have blanks at the end",
            (
                (
                    "table/reader.py",
                    "[fields(line, separator) for line",
                    "[fields(line.rstrip(), separator) for line",
                ),
                (
                    "tests/test_reader.py",
                    "def test_dicts():",
                    'def test_blanks():\n    assert rows("a,b  ") == [["a", "b"]]\n\n\n'
                    "def test_dicts():",
                ),
            ),
        ),
    ),
    hidden="""from table.reader import fields, rows


def test_all():
    assert fields('1,"Doe, Jane",x') == ["1", "Doe, Jane", "x"]
    assert fields('"a ""b"" c",') == ['a "b" c', ""]
    assert rows("a,b ") == [["a", "b"]]
""",
)

BAD_LINES = Regression(
    name="bad_lines",
    kind="an exception is no longer caught, 5 lines",
    issue="""One bad line ends the import
```
>>> from importer.values import numbers
>>> numbers(["1", "x", "3"])   # should be [1, 3]
ValueError: invalid literal for int() with base 10: 'x'
```
""",
    start={
        "importer/__init__.py": "",
        "importer/values.py": """\"\"\"Values out of lines.\"\"\"


def numbers(lines):
    found = []
    for line in lines:
        try:
            found.append(int(line.strip()))
        except ValueError:
            continue
    return found


def largest(lines):
    return max(numbers(lines))
""",
        "tests/test_values.py": """from importer.values import largest, numbers


def test_numbers():
    assert numbers([" 1", "2 "]) == [1, 2]


def test_largest():
    assert largest(["5", "7"]) == 7
""",
    },
    culprit=Step(
        "numbers: a comprehension",
        (
            (
                "importer/values.py",
                """    found = []
    for line in lines:
        try:
            found.append(int(line.strip()))
        except ValueError:
            continue
    return found
""",
                """    return [int(line.strip()) for line in lines]
""",
            ),
        ),
    ),
    hidden="""from importer.values import largest, numbers


def test_all():
    assert numbers(["1", "x", "3"]) == [1, 3]
    assert numbers(["", "4 "]) == [4]
    assert largest(["x", "2"]) == 2
""",
)

SORTED_NAMES = Regression(
    name="sorted_names",
    kind="a default changed with its callers, three files",
    issue="""Names with small letters come last
```
>>> from people.listing import names
>>> names([{"name": "bob"}, {"name": "Zoe"}])   # should be ['bob', 'Zoe']
['Zoe', 'bob']
```

In the release before, lists were in order whatever the case.
""",
    start={
        "people/__init__.py": "",
        "people/order.py": """\"\"\"Orders.\"\"\"


def in_order(values, fold=True):
    return sorted(values, key=str.casefold if fold else None)


def is_ordered(values):
    return list(values) == in_order(values)
""",
        "people/listing.py": """\"\"\"Lists of people.\"\"\"

from people.order import in_order


def names(people):
    return in_order([p["name"] for p in people])


def towns(people):
    return in_order({p["town"] for p in people if "town" in p})
""",
        "tests/test_people.py": """from people.listing import names, towns
from people.order import in_order


def test_names():
    assert names([{"name": "Zoe"}, {"name": "Al"}]) == ["Al", "Zoe"]


def test_towns():
    assert towns([{"town": "Ulm"}, {"town": "Bonn"}, {}]) == ["Bonn", "Ulm"]


def test_order():
    assert in_order(["b", "A"], fold=False) == ["A", "b"]
""",
    },
    culprit=Step(
        "Exact order where codes are sorted",
        (
            (
                "people/order.py",
                """def in_order(values, fold=True):
    return sorted(values, key=str.casefold if fold else None)


def is_ordered(values):
    return list(values) == in_order(values)
""",
                """def in_order(values, fold=False):
    if fold:
        return sorted(values, key=str.casefold)
    return sorted(values)


def is_ordered(values):
    return list(values) == in_order(values)


def codes(values):
    return in_order(set(values), fold=False)
""",
            ),
            (
                "people/listing.py",
                "from people.order import in_order",
                "from people.order import codes, in_order",
            ),
            (
                "people/listing.py",
                """def towns(people):""",
                """def post_codes(people):
    return codes(p["code"] for p in people if "code" in p)


def towns(people):""",
            ),
            (
                "tests/test_people.py",
                """from people.listing import names, towns
""",
                """from people.listing import names, post_codes, towns
""",
            ),
            (
                "tests/test_people.py",
                """def test_order():""",
                """def test_codes():
    assert post_codes([{"code": "b1"}, {"code": "B2"}]) == ["B2", "b1"]


def test_order():""",
            ),
        ),
    ),
    hidden="""from people.listing import names, post_codes, towns
from people.order import in_order


def test_all():
    assert names([{"name": "bob"}, {"name": "Zoe"}]) == ["bob", "Zoe"]
    assert towns([{"town": "ulm"}, {"town": "Zell"}]) == ["ulm", "Zell"]
    assert post_codes([{"code": "b1"}, {"code": "B2"}]) == ["B2", "b1"]
    assert in_order(["b", "A"], fold=False) == ["A", "b"]
""",
)

LOST_OVERRIDE = Regression(
    name="lost_override",
    kind="a method of a subclass removed, 6 lines",
    issue="""Squares print their height twice
```
>>> from shapes.square import Square
>>> Square(3).label()   # should be 'square of 3'
'Square, 3 by 3'
```
""",
    start={
        "shapes/__init__.py": "",
        "shapes/base.py": """\"\"\"Rectangles.\"\"\"


class Rectangle:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height

    def label(self):
        return f"{type(self).__name__}, {self.width} by {self.height}"
""",
        "shapes/square.py": """\"\"\"Squares.\"\"\"

from shapes.base import Rectangle


class Square(Rectangle):
    def __init__(self, side):
        super().__init__(side, side)

    def label(self):
        if self.width == 1:
            return "unit square"
        return f"square of {self.width}"

    def diagonal(self):
        return self.width * 2**0.5
""",
        "tests/test_shapes.py": """from shapes.base import Rectangle
from shapes.square import Square


def test_area():
    assert Square(3).area() == 9


def test_label():
    assert Rectangle(1, 2).label() == "Rectangle, 1 by 2"
""",
    },
    culprit=Step(
        "Labels stand in the base class only",
        (
            (
                "shapes/square.py",
                """    def label(self):
        if self.width == 1:
            return "unit square"
        return f"square of {self.width}"

""",
                "",
            ),
        ),
    ),
    later=(
        Step(
            "Perimeter",
            (
                (
                    "shapes/square.py",
                    """    def diagonal(self):""",
                    """    def perimeter(self):
        return 4 * self.width

    def diagonal(self):""",
                ),
            ),
        ),
    ),
    hidden="""from shapes.square import Square


def test_all():
    assert Square(3).label() == "square of 3"
    assert Square(1).label() == "unit square"
    assert Square(2).perimeter() == 8
""",
)

TWO_ENDS = Regression(
    name="two_ends",
    kind="two hunks that belong together, one of them wrong, 3 lines",
    issue="""The last page is missing
```
>>> from pages.paging import page_of
>>> page_of(list(range(7)), 3)   # should be [6]
[]
```
Pages are counted from 1, three a page.
""",
    start={
        "pages/__init__.py": "",
        "pages/paging.py": """\"\"\"Pages of a list.\"\"\"

SIZE = 3


def bounds(number):
    first = (number - 1) * SIZE
    return first, first + SIZE


def page_of(items, number):
    first, last = bounds(number)
    return items[first:last]


def pages(items):
    return -(-len(items) // SIZE)


def is_last(items, number):
    return number >= pages(items)
""",
        "tests/test_paging.py": """from pages.paging import page_of, pages


def test_first():
    assert page_of([1, 2, 3, 4, 5, 6], 1) == [1, 2, 3]


def test_second():
    assert page_of([1, 2, 3, 4, 5, 6], 2) == [4, 5, 6]


def test_pages():
    assert pages([1, 2, 3]) == 1
""",
    },
    culprit=Step(
        "Count from 0 inside",
        (
            (
                "pages/paging.py",
                """    first = (number - 1) * SIZE
""",
                """    first = number * SIZE
""",
            ),
            (
                "pages/paging.py",
                """    first, last = bounds(number)
    return items[first:last]
""",
                """    first, last = bounds(number - 1)
    return items[first:last] if last <= len(items) else []
""",
            ),
        ),
    ),
    hidden="""from pages.paging import page_of


def test_all():
    assert page_of(list(range(7)), 3) == [6]
    assert page_of(list(range(7)), 4) == []
    assert page_of(list(range(7)), 1) == [0, 1, 2]
""",
)

GREETING_CASE = Regression(
    name="greeting_case",
    kind="a case dropped where a new one was added, one hunk",
    issue="""Evening greeting is gone
```
>>> from hello.greeting import greeting
>>> greeting(20)   # should be 'Good evening'
'Hello'
```
""",
    start={
        "hello/__init__.py": "",
        "hello/greeting.py": """\"\"\"Greetings.\"\"\"


def greeting(hour):
    if hour < 5:
        return "Good night"
    if hour < 12:
        return "Good morning"
    if hour >= 18:
        return "Good evening"
    return "Hello"


def greet(name, hour):
    return f"{greeting(hour)}, {name}!"
""",
        "tests/test_greeting.py": """from hello.greeting import greet


def test_morning():
    assert greet("Ann", 8) == "Good morning, Ann!"


def test_afternoon():
    assert greet("Ann", 15) == "Hello, Ann!"
""",
    },
    culprit=Step(
        "Say hello at noon",
        (
            (
                "hello/greeting.py",
                """    if hour >= 18:
        return "Good evening"
    return "Hello"
""",
                """    if hour == 12:
        return "Enjoy your meal"
    return "Hello"
""",
            ),
            (
                "tests/test_greeting.py",
                "def test_afternoon():",
                'def test_noon():\n    assert greet("Ann", 12) == "Enjoy your meal, Ann!"\n\n\n'
                "def test_afternoon():",
            ),
        ),
    ),
    hidden="""from hello.greeting import greeting


def test_all():
    assert greeting(20) == "Good evening"
    assert greeting(18) == "Good evening"
    assert greeting(17) == "Hello"
    assert greeting(12) == "Enjoy your meal"
    assert greeting(3) == "Good night"
""",
)

CACHED_PRICE = Regression(
    name="cached_price",
    kind="a cache with too small a key; the cache is to stay",
    issue="""Prices in francs are prices in euros
```
>>> from prices.quote import Quotes
>>> quotes = Quotes({"EUR": 1, "CHF": 2})
>>> [quotes.price("tea", 3, "EUR"), quotes.price("tea", 3, "CHF")]   # should be [3, 6]
[3, 3]
```
""",
    start={
        "prices/__init__.py": "",
        "prices/quote.py": """\"\"\"Quotes.\"\"\"


class Quotes:
    def __init__(self, rates):
        self.rates = rates
        self.computed = 0

    def price(self, article, amount, currency):
        self.computed += 1
        return amount * self.rates[currency]
""",
        "tests/test_quote.py": """from prices.quote import Quotes


def test_price():
    assert Quotes({"EUR": 1}).price("tea", 4, "EUR") == 4
""",
    },
    culprit=Step(
        "Keep prices",
        (
            (
                "prices/quote.py",
                """        self.computed = 0
""",
                """        self.computed = 0
        self.kept = {}
""",
            ),
            (
                "prices/quote.py",
                """        self.computed += 1
        return amount * self.rates[currency]
""",
                """        key = (article, amount)
        if key not in self.kept:
            self.computed += 1
            self.kept[key] = amount * self.rates[currency]
        return self.kept[key]
""",
            ),
            (
                "tests/test_quote.py",
                "def test_price():",
                """def test_prices_are_kept():
    quotes = Quotes({"EUR": 1})
    quotes.price("tea", 4, "EUR")
    quotes.price("tea", 4, "EUR")
    assert quotes.computed == 1


def test_price():""",
            ),
        ),
    ),
    hidden="""from prices.quote import Quotes


def test_all():
    quotes = Quotes({"EUR": 1, "CHF": 2})
    assert [quotes.price("tea", 3, c) for c in ("EUR", "CHF", "EUR")] == [3, 6, 3]
    assert quotes.computed == 2
""",
)

TUNED = (
    FREE_SHIPPING,
    EMPTY_AVERAGE,
    UNIT_TABLE,
    CURRENCY_COLUMN,
    TAG_NAMES,
    MOVED_SLUGS,
    RENAMED_FILE,
    FEES_MOVED,
    TAX_TABLE,
    DATA_FILE,
    CSV_REWRITE,
    BAD_LINES,
    SORTED_NAMES,
    LOST_OVERRIDE,
    TWO_ENDS,
    GREETING_CASE,
    CACHED_PRICE,
)
