"""Pages of results, counted from 1."""

DEFAULT_SIZE = 20
MAX_SIZE = 200


class BadPage(ValueError):
    """There is no such page."""


def clamp_size(size):
    """A page size within what is allowed."""
    if size is None:
        return DEFAULT_SIZE
    return max(1, min(int(size), MAX_SIZE))


def page_count(total, size=DEFAULT_SIZE):
    """How many pages there are; an empty result has one, empty page."""
    if total < 0:
        raise ValueError("total must not be negative")
    size = clamp_size(size)
    return max(1, round(total / size))


def bounds(page, total, size=DEFAULT_SIZE):
    """First and last index (exclusive) of a page."""
    size = clamp_size(size)
    if not 1 <= page <= page_count(total, size):
        raise BadPage(f"page {page} of {page_count(total, size)}")
    start = (page - 1) * size
    return start, min(start + size, total)


def window(page, count, around=2):
    """Page numbers to link to; None stands for a gap."""
    near = [n for n in range(page - around, page + around + 1) if 1 <= n <= count]
    numbers = sorted({1, count, *near})
    shown = []
    for n in numbers:
        if shown and shown[-1] is not None and n - shown[-1] > 1:
            shown.append(None)
        shown.append(n)
    return shown
