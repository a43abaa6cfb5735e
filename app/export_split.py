"""Training and validation, apart by repository. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence


def validation_repositories(of_examples: Sequence[str], part: float, seed: int) -> frozenset[str]:
    """Repositories whose examples are for validation; `of_examples` is one name an example.

    No repository is on both sides, so the part is met only roughly: repositories come in an order
    that the seed decides, until there are enough examples; at least one goes to training.
    """
    counts = Counter(name.lower() for name in of_examples)
    order = sorted(counts, key=lambda n: hashlib.sha256(f"{seed}:{n}".encode()).digest())
    wanted = part * len(of_examples)
    taken: set[str] = set()
    have = 0
    for name in order:
        # Nearer with it than without it?
        if abs(have + counts[name] - wanted) >= abs(have - wanted) and (taken or part == 0):
            continue
        if len(taken) + 1 == len(counts):
            break
        taken.add(name)
        have += counts[name]
    return frozenset(taken)
