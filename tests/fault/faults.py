"""What goes wrong: which fault, when, and for how long, all from one seed."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.fault.house import House

_LONGEST_S = 60.0
"""What a fault is given at most to meet what it is for."""

Wound = Callable[[float], Callable[[], None] | None]
"""Inflicts a fault that lasts so many seconds; gives what fixes it, unless that goes by itself."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that may be killed."""

    stop: Callable[[signal.Signals], None]
    start: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Open:
    """A fault that is not over."""

    until: float
    share: float
    """Of all work: it lasts until then, if there is work that it does not hold up."""
    fix: Callable[[], None]


@dataclass(slots=True)
class Faults:
    """The faults of one go. They come at points of the work done, and not of time, so that a slow
    machine sees the same of them as a fast one."""

    kinds: dict[str, Wound]
    points: list[float]
    """At which share of all work the next ones come, ascending."""
    rng: random.Random
    meets: Mapping[str, float] = field(default_factory=dict)
    """Faults that last so much longer, as a share of all work: what they hit is rare."""
    done: list[str] = field(default_factory=list)
    _open: dict[str, _Open] = field(default_factory=dict)

    def tend(self, share: float) -> None:
        """Inflict what is due, fix what lasted long enough."""
        now = time.monotonic()
        for name, open_ in list(self._open.items()):
            if now >= open_.until and (share >= open_.share or now >= open_.until + _LONGEST_S):
                del self._open[name]
                open_.fix()
        while self.points and self.points[0] <= share:
            whole = [name for name in self.kinds if name not in self._open]
            if not whole:
                return
            self.points.pop(0)
            # In rounds, so that each kind has its turns in every go.
            least = min(self.done.count(name) for name in whole)
            name = self.rng.choice([name for name in whole if self.done.count(name) == least])
            lasts_s = self.rng.uniform(0.3, 4.0)
            healing = self.kinds[name](lasts_s)
            self.done.append(name)
            if healing is not None:
                met = share + self.meets.get(name, 0.0)
                self._open[name] = _Open(time.monotonic() + lasts_s, met, healing)

    @property
    def is_open(self) -> bool:
        """Whether something is still wrong that does not go by itself."""
        return bool(self._open)

    def repair_all(self) -> None:
        """Fix what is still open."""
        for open_ in self._open.values():
            open_.fix()
        self._open.clear()


def faults(
    house: House, engine: Engine | None, runs: int, count: int, rng: random.Random
) -> Faults:
    """So many faults, spread at random over the work of so many runs."""
    kinds: dict[str, Wound] = {}

    def killing(name: str) -> Wound:
        def kill(lasts_s: float) -> None:
            house.part(name).kill(lasts_s)

        return kill

    for part in house.parts:
        kinds[f"{part.name} killed"] = killing(part.name)

    for name, link in (("model", house.model), ("GitHub", house.github)):

        def cut(_lasts_s: float, link: object = link) -> Callable[[], None]:
            link.cut()  # type: ignore[attr-defined]
            return link.fix  # type: ignore[attr-defined,no-any-return]

        kinds[f"network to {name} cut"] = cut

    def refuse(_lasts_s: float) -> Callable[[], None]:
        house.refuse_pushes()
        return house.take_pushes

    def stale(lasts_s: float) -> Callable[[], None]:
        house.stale_lists(lasts_s)
        return lambda: house.stale_lists(0)

    moved = itertools.count()

    def rename(_lasts_s: float) -> None:
        house.rename(next(moved))

    def transfer(_lasts_s: float) -> None:
        house.transfer(next(moved))

    kinds |= {
        "publications refused": refuse,
        "lists stale": stale,
        "repository renamed": rename,
        "repository transferred": transfer,
    }
    if (served := house.database) is not None:

        def kill_database(_lasts_s: float) -> Callable[[], None]:
            served.kill()
            return served.start

        kinds["database killed"] = kill_database
    if engine is not None:

        def kill_engine(_lasts_s: float) -> Callable[[], None]:
            engine.stop(signal.SIGKILL)
            return engine.start

        kinds["dockerd killed"] = kill_engine
    points = sorted(rng.uniform(0.01, 0.95) for _ in range(count))
    # A run publishes once: two runs' worth of the work sees a push or two.
    return Faults(kinds, points, rng, {"publications refused": 2 / runs})
