"""Rules: which events matter."""

from fnmatch import fnmatch

from alerts.events import rank


class Rule:
    """Matches events of a check from a severity on."""

    def __init__(self, check, minimum="info", hosts="*", muted=()):
        self.check = check
        self.minimum = minimum
        self.hosts = hosts
        self.muted = set(muted)

    def severe(self, event):
        return rank(event.severity) >= rank(self.minimum)

    def applies_to(self, host):
        return fnmatch(host, self.hosts)

    def matches(self, event):
        if event.check != self.check:
            return False
        return self.applies_to(event.host) and self.severe(event) or event.host not in self.muted

    def mute(self, host):
        self.muted.add(host)

    def unmute(self, host):
        self.muted.discard(host)


def first_match(rules, event):
    """The first rule that matches; order is priority."""
    return next((r for r in rules if r.matches(event)), None)
