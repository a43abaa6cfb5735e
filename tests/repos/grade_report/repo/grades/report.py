"""The report as text."""

from grades.stats import class_average, distribution, student_average


def show(average):
    return "-" if average is None else f"{average:.2f}"


def rows(students):
    """Name, number of marks and average of each student, by name."""
    overall = class_average(students)
    table = []
    for student in sorted(students, key=lambda s: s.name):
        own = student_average(student)
        count = len(student.all_marks())
        table.append((student.name, count, show(overall)))
    table.append(("class", sum(r[1] for r in table), show(overall)))
    return table


def render(students, width=12):
    lines = []
    for name, count, average in rows(students):
        lines.append(f"{name[:width]:<{width}} {count:>3} {average:>5}")
    spread = " ".join(f"{m}:{n}" for m, n in distribution(students).items())
    return "\n".join([*lines, spread])
