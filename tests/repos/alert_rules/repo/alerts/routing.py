"""Who is told."""

from alerts.rules import first_match


class Router:
    """Sends each event to the channel of the first rule that matches."""

    def __init__(self, default=None):
        self.routes = []
        self.default = default
        self.sent = {}

    def add(self, rule, channel):
        self.routes.append((rule, channel))

    def channel_for(self, event):
        rule = first_match([r for r, _ in self.routes], event)
        if rule is None:
            return self.default
        return next(c for r, c in self.routes if r is rule)

    def send(self, event):
        channel = self.channel_for(event)
        if channel is not None:
            self.sent.setdefault(channel, []).append(event)
        return channel
