"""Counting articles."""


def parse(line):
    """`2 x lamp; 1 x chair` as a dictionary."""
    counts = {}
    for part in line.split(";"):
        if not part.strip():
            continue
        number, sign, article = part.partition(" x ")
        if not sign:
            raise ValueError(f"cannot read {part.strip()!r}")
        counts[article.strip()] = counts.get(article.strip(), 0) + int(number)
    return counts


def total(counts):
    return sum(counts.values())


def merge(counts, more):
    """Both counts together; neither is changed."""
    merged = dict(counts)
    for article, quantity in more.items():
        merged[article] += quantity
    return merged


def missing(counts, wanted):
    """What has to be ordered."""
    return {a: n - counts.get(a, 0) for a, n in wanted.items() if n > counts.get(a, 0)}


def render(counts):
    return "; ".join(f"{n} x {a}" for a, n in sorted(counts.items()))
