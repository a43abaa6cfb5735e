"""Calculating with months."""

import calendar
from datetime import date


def days_in_month(year, month):
    return calendar.monthrange(year, month)[1]


def add_months(day, count):
    """The same day `count` months later; the month's last day if there is no such day."""
    months = day.month + count
    year = day.year + months // 12
    month = months % 12
    last = days_in_month(year, month)
    return date(year, month, min(day.day, last))


def first_of_month(day):
    return day.replace(day=1)


def months_between(start, end):
    """Whole months from start to end."""
    months = (end.year - start.year) * 12 + end.month - start.month
    return months - 1 if end.day < start.day else months
