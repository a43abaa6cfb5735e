"""A function that swallows more than it did, and an equality that looks at nothing, are seen."""

from __future__ import annotations

import pytest

from agent.gate.patch.changed_file import ChangedFile, changed_file, changed_texts
from agent.gate.patch.parse import parse_patch
from agent.gate.rules.whole_functions import function_refusals
from tests.doubles.gate_case import patch

BASE = """WIDE = (ValueError, Exception)


def load(store, key):
    try:
        return store[key]
    except Exception as problem:
        log(problem)
        raise KeyError(key) from problem
    finally:
        close(store)


def quiet(store):
    try:
        close(store)
    except Exception:
        pass
"""


def changed(old: str, new: str) -> ChangedFile:
    assert old in BASE
    patched = BASE.replace(old, new)
    change = parse_patch(patch({"a.py": patched}, {"a.py": BASE}))[0]
    return changed_file(change, BASE, patched)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "        log(problem)\n        raise KeyError(key) from problem\n",
            "        return None\n",
        ),
        ("        log(problem)\n        raise KeyError(key) from problem\n", "        pass\n"),
        ("        close(store)\n\n", "        return None\n\n"),
        (
            "    except Exception as problem:\n        log(problem)\n"
            "        raise KeyError(key) from problem\n",
            "    except WIDE:\n        return None\n",
        ),
        (
            "def quiet",
            "class A:\n    def __eq__(self, x):\n        return isinstance(x, int)\n\n\ndef quiet",
        ),
        (
            "def quiet",
            "class A:\n    def __ne__(self, x):\n        return type(x) is str\n\n\ndef quiet",
        ),
    ],
)
def test_what_swallows_more_or_equals_anything_is_refused(old: str, new: str) -> None:
    assert function_refusals(changed(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        log(problem)\n", ""),
        ("store[key]", "store[key].strip()"),
        ("        pass\n", "        # Nothing is lost.\n        pass\n"),
        ("except Exception as problem", "except KeyError as problem"),
        (
            "    except Exception as problem:\n        log(problem)\n"
            "        raise KeyError(key) from problem\n",
            "    except KeyError:\n        return None\n",
        ),
        (
            "def quiet",
            "class A:\n    def __eq__(self, x):\n        return isinstance(x, A)\n\n\ndef quiet",
        ),
        (
            "def quiet",
            "class A:\n    def __eq__(self, x):\n"
            "        return isinstance(x, int) and x == self.n\n\n\ndef quiet",
        ),
    ],
)
def test_honest_changes_pass(old: str, new: str) -> None:
    assert function_refusals(changed(old, new)) == ()


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("a.rs", "fn eq(&self, _: &i64) -> bool {\n    match self { _ => true }\n}\n", True),
        ("a.rs", "fn eq(&self, other: &i64) -> bool {\n    self.0 == *other\n}\n", False),
        ("a.rs", "fn eq_all(&self, _n: i64) -> bool {\n    true\n}\n", False),
        ("A.java", "public boolean equals(Object o) {\n    return true;\n}\n", True),
        ("A.java", "public boolean equals(Object o) { return o instanceof Long; }\n", True),
        ("A.java", "public boolean equals(Object o) { return o instanceof A; }\n", False),
        (
            "A.java",
            "public boolean equals(Object o) { return o instanceof A a && a.n == n; }\n",
            False,
        ),
        ("A.kt", "override fun equals(other: Any?) = true\n", True),
        ("a.cpp", "bool operator==(const A& other) const { return true; }\n", True),
        ("a.cpp", "bool operator==(const A& other) const { return n == other.n; }\n", False),
    ],
)
def test_an_equality_of_another_language_looks_at_its_operand(
    path: str, text: str, told: bool
) -> None:
    file = ChangedFile(path=f"src/{path}", base="", patched=text)
    assert bool(function_refusals(file)) is told


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("A(int)", "return int(self) <= int(x)", True),
        ("A(int)", "return int(self) == int(x)", True),
        ("A(list)", "return len(x) == len(self)", True),
        ("A(dict)", "return isinstance(x, A) and dict.__eq__(self, x)", False),
        ("A", "return bool(x)", True),
        ("A", "return self.n == x.n or self.n < x.n", True),
        ("A", "return x >= self.n", True),
        ("A", "return abs(self.n - x.n) < 1e-9", False),
        ("A", "return x in (self.n, self.name)", False),
        ("A", "return self._compare(x, 0)", False),
        ("A(str)", "return self.lower() == x.lower()", False),
        ("A", "return NotImplemented if x is None else self.n == x.n", False),
    ],
)
def test_an_equality_says_whether_it_is_equal(kind: str, body: str, told: bool) -> None:
    text = f"class {kind}:\n    def __eq__(self, x):\n        {body}\n"
    assert bool(function_refusals(changed_texts("a.py", "", text))) is told
    assert not function_refusals(changed_texts("a.py", text, f"{text}\n\nb = 1\n"))
