"""Figures about a class."""

from collections import Counter

from grades.model import mean


def student_average(student):
    return mean(student.all_marks())


def class_average(students):
    """Mean of the students' averages; students without marks do not count."""
    averages = [student_average(s) for s in students]
    return mean(a for a in averages if a is not None)


def distribution(students):
    counts = Counter(m for s in students for m in s.all_marks())
    return {mark: counts.get(mark, 0) for mark in range(1, 7)}


def best(students, count=3):
    """Names of the best students; the lower the average the better."""
    rated = [(student_average(s), s.name) for s in students if s.all_marks()]
    return [name for _, name in sorted(rated)[:count]]
