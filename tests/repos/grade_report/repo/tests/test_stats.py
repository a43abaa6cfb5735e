import pytest

from grades.model import Student
from grades.stats import best, class_average, distribution


def make(name, *marks):
    student = Student(name)
    for mark in marks:
        student.give("maths", mark)
    return student


def test_class_average():
    assert class_average([make("a", 1, 3), make("b", 4), make("c")]) == 3
    assert class_average([]) is None


def test_distribution():
    assert distribution([make("a", 1, 2), make("b", 2)])[2] == 2


def test_best():
    assert best([make("a", 3), make("b", 1), make("c", 2), make("d")], 2) == ["b", "c"]


def test_bad_mark():
    with pytest.raises(ValueError):
        Student("a").give("maths", 7)
