from grades.model import Student
from grades.report import render, rows, show


def make(name, *marks):
    student = Student(name)
    for mark in marks:
        student.give("maths", mark)
    return student


def test_show():
    assert show(None) == "-"
    assert show(2) == "2.00"


def test_class_row_is_last():
    table = rows([make("b", 2, 2), make("a", 4)])
    assert [r[0] for r in table] == ["a", "b", "class"]
    assert table[-1] == ("class", 3, "3.00")


def test_rows_have_the_students_own_average():
    table = rows([make("b", 2, 2), make("a", 4), make("c")])
    assert table[0] == ("a", 1, "4.00")
    assert table[1] == ("b", 2, "2.00")
    assert table[2] == ("c", 0, "-")


def test_render_ends_with_the_distribution():
    assert render([make("a", 1, 1, 6)]).endswith("1:2 2:0 3:0 4:0 5:0 6:1")
