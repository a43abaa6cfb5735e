from grades.model import Student
from grades.report import render, rows


def make(name, *marks):
    return Student(name, {"x": list(marks)})


def test_own_averages():
    table = rows([make("a", 1, 2), make("b", 5, 6), make("c")])
    assert [r[2] for r in table] == ["1.50", "5.50", "-", "3.50"]


def test_render():
    assert render([make("a", 1, 2), make("b", 6)]).splitlines()[0].endswith("1.50")
