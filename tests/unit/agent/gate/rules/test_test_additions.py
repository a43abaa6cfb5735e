"""What may be added to an existing test file by a reproduction."""

from __future__ import annotations

import pytest

from agent.gate.rules.test_additions import addition_refusals

BASE = """import pytest
from shop import total


@pytest.mark.parametrize(("given", "sum_"), [([1], 1), ([1, 2], 3)])
def test_total(given, sum_):
    assert total(given) == sum_


class TestEmpty:
    def test_nothing(self, cart):
        assert total(cart) == 0
"""
LONGER = BASE.replace("([1, 2], 3)]", "([1, 2], 3), ([5], 5)]")
METHOD = "\n    def test_two(self):\n        assert total([2]) == 2\n"


@pytest.mark.parametrize(
    "text",
    [
        BASE + "\n\ndef test_more():\n    assert total([2]) == 2\n",
        BASE + METHOD,
        BASE.replace("import pytest\n", "import pytest\nfrom datetime import date\n"),
        BASE + "\n\nCASES = [1, 2]\n\n\n@pytest.mark.parametrize('n', CASES)\ndef test_n(n):\n"
        "    assert total([n]) == n\n",
        BASE + "\n\n@pytest.fixture\ndef basket():\n    return [1]\n",
        BASE
        + "\n\ndef test_p(monkeypatch):\n    monkeypatch.setattr('shop.x', 1)\n    total([])\n",
        LONGER,
        BASE.replace("import total\n", "import discount, total\n"),
        BASE.replace("import pytest\n", "import pytest\nimport pytest, shop\n"),
        BASE.replace("import pytest\n", "import pytest\nimport pytest.more\n"),
        BASE + "\n\n@pytest.mark.slow\nclass TestMore:\n    LIMIT = 5\n    cases = ['a' * 3]\n\n"
        "    def test_more(self):\n        assert total([2]) == 2\n",
        BASE + "\n\nBIG = ','.join(['1'] * 9)\nSUM = total([1])\n\n\ndef test_big():\n"
        "    prices = {'a': 1}\n    del prices['a']\n    prices['b'] = 2\n    assert BIG\n",
        BASE + "\n\n@pytest.fixture(name='cash')\ndef _cash():\n    return 1\n",
    ],
)
def test_tests_and_what_only_they_use_may_be_added(text: str) -> None:
    assert addition_refusals("tests/test_a.py", BASE, text) == ()


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("\n\ndef test_total():\n    pass\n", "shadows `test_total`"),
        ("\n\ntotal = sum\n", "shadows `total`"),
        ("\n\nfrom other import total\n", "shadows `total`"),
        ("\n\nfrom other import *\n", "shadows `*`"),
        ("\n\ndef len(x):\n    return 0\n", "shadows `len`"),
        ("\n\n@pytest.fixture\ndef cart():\n    return []\n", "touches the tests beside it"),
        ("\n\n@pytest.fixture(autouse=True)\ndef f():\n    pass\n", "touches the tests beside"),
        ("\n\npytestmark = 1\n", "changes how the tests"),
        ("\n\ndef setup_module():\n    pass\n", "changes how the tests"),
        ("\n\nprint(1)\n", "when the file is imported"),
        ("\n\nX = patch_all()\n", "when the file is imported"),
        ("\n\ndel test_total\n", "when the file is imported"),
        ("\n\ndef test_x(a=patch_all()):\n    pass\n", "when the file is imported"),
        ("\n\n@pytest.mark.parametrize('n', go())\ndef test_x(n):\n    pass\n", "is imported"),
        ("\n\ndef test_x():\n    globals()['test_total'] = 1\n", "could reach the tests"),
        ("\n\ndef test_x():\n    global total\n    total = 1\n", "could reach the tests"),
        ("\n\nfrom math import fsum as total\n", "shadows `total`"),
        ("\n\n@pytest.fixture(name='cart')\ndef _c():\n    return []\n", "touches the tests"),
        ("\n\nimport shop\nshop.total = sum\n", "when the file is imported"),
        ("\n\nimport sys\nN = sys.modules.pop('shop')\n", "when the file is imported"),
        ("\n\nN = pytest.exit('done')\n", "when the file is imported"),
        ("\n\nN = pytest.skip('x', allow_module_level=True)\n", "when the file is imported"),
        ("\n\nN = pytest.importorskip('nothing')\n", "when the file is imported"),
        ("\n\nN = total.__dict__.update(a=1)\n", "when the file is imported"),
        ("\n\nfrom unittest import mock\nN = mock.patch('shop.total').start()\n", "imported"),
        ("\n\nimport subprocess\nN = subprocess.Popen('x')\n", "when the file is imported"),
        ("\n\nfrom shop import disarm\nN = disarm()\n", "when the file is imported"),
        ("\n\n__test__ = False\n", "changes how the tests"),
        ("\n    __test__ = False\n", "changes how the tests"),
        ("\n    def setUp(self):\n        pass\n", "changes how the tests"),
        ("\n\ncollect_ignore = ['test_b.py']\n", "changes how the tests"),
        ("\n\ndef pytest_collection_modifyitems(items):\n    items.clear()\n", "changes how"),
        ("\n\nimport atexit\n\n@atexit.register\ndef test_x():\n    pass\n", "is imported"),
        ("\n\nclass M(type):\n    pass\n\nclass TestX(metaclass=M):\n    pass\n", "imported"),
        ("\n\nclass TestX:\n    x = globals().pop('test_total')\n", "when the file is imported"),
        ("\n\nclass TestX(go()):\n    pass\n", "when the file is imported"),
        (
            "\n\nclass TestX:\n    def test_x(self):\n        TestEmpty.test_nothing = None\n",
            "reach",
        ),
        ("\n\ndef test_x():\n    import shop\n    shop.total = sum\n", "could reach the tests"),
        ("\n\ndef test_x():\n    total.__code__ = sum\n", "could reach the tests"),
        ("\n\ndef test_x():\n    del TestEmpty.test_nothing\n", "could reach the tests"),
        ("\n\ndef test_x():\n    import sys\n    sys.modules['shop'] = 1\n", "could reach"),
        ("\n\ndef test_x():\n    setattr(pytest, 'x', 1)\n", "could reach the tests"),
        ("\n\ndef test_x():\n    pytest.exit('done')\n", "could reach the tests"),
        ("\n\nfrom os import system as Run\nN = Run('x')\n", "when the file is imported"),
        ("\n\nfrom atexit import register as At\n\n@At\ndef test_x():\n    pass\n", "is imported"),
        ("\n\nif True:\n    del test_total\n", "when the file is imported"),
        ("\n\ntry:\n    import x\nexcept ImportError:\n    pass\n", "when the file is imported"),
        ("\n    def setup_method(self):\n        pass\n", "changes how the tests"),
        ("\n    def test_nothing(self):\n        pass\n", "shadows `test_nothing`"),
    ],
)
def test_what_reaches_the_neighbours_is_refused(added: str, said: str) -> None:
    reasons = addition_refusals("tests/test_a.py", BASE, BASE + added)
    assert said in " ".join(reasons)


def test_a_longer_table_may_not_run_anything() -> None:
    text = LONGER.replace("([5], 5)", "([5], go())")
    assert "is imported" in addition_refusals("tests/test_a.py", BASE, text)[0]


def test_other_languages_are_judged_by_their_added_lines() -> None:
    base = "it('adds', () => { expect(1).toBe(1) })\n"
    more = base + "it('subtracts', () => { expect(0).toBe(1) })\n"
    assert addition_refusals("a.test.js", base, more) == ()
    assert addition_refusals("a.test.js", base, more.replace("it('s", "it.only('s"))


def test_data_is_judged_by_the_runs_with_it() -> None:
    assert addition_refusals("tests/globs.txt", "a\n", "a\n/* b\n") == ()
