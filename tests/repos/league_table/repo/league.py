"""Results and the table that follows from them."""

from team import Team


class Table:
    def __init__(self, names=()):
        self.teams = {name: Team(name) for name in names}
        self.results = []

    def team(self, name):
        if name not in self.teams:
            self.teams[name] = Team(name)
        return self.teams[name]

    def record(self, home, home_goals, away_goals, away):
        if home == away:
            raise ValueError("a team cannot play itself")
        if min(home_goals, away_goals) < 0:
            raise ValueError("goals cannot be negative")
        self.team(home).add(home_goals, away_goals)
        self.team(away).add(away_goals, home_goals)
        self.results.append((home, home_goals, away_goals, away))

    def standings(self):
        """Teams, the first one first: by points, goal difference, goals scored, name."""
        return sorted(
            self.teams.values(),
            key=lambda t: (-t.points, t.difference, -t.scored, t.name),
        )

    def place(self, name):
        return [t.name for t in self.standings()].index(name) + 1

    def leader(self):
        table = self.standings()
        return table[0].name if table else None
