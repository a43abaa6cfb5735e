"""The table as text."""


def render(table):
    lines = []
    for place, team in enumerate(table.standings(), 1):
        goals = f"{team.scored}:{team.conceded}"
        lines.append(f"{place:>2}. {team.name:<12}{team.played:>3}{goals:>7}{team.points:>4}")
    return "\n".join(lines)
