"""One team's season."""

from dataclasses import dataclass

WIN, DRAW = 3, 1


@dataclass
class Team:
    name: str
    played: int = 0
    points: int = 0
    scored: int = 0
    conceded: int = 0

    @property
    def difference(self):
        return self.scored - self.conceded

    def add(self, own, other):
        self.played += 1
        self.scored += own
        self.conceded += other
        if own > other:
            self.points += WIN
        elif own == other:
            self.points += DRAW
