"""What can be wrong with a message."""


class BadMessage(ValueError):
    """The text is no HTTP message."""


class BadHeader(BadMessage):
    """A line is no header."""
