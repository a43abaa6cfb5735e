"""What can go wrong in the agent, named for what the caller can do about it."""

from __future__ import annotations


class AgentError(Exception):
    """Base of the agent's errors; messages are fit for users."""


class ModelError(AgentError):
    """The model did not give a turn."""


class ModelAway(ModelError):
    """The server cannot be reached or is overloaded: try again later."""


class ContextTooLong(ModelError):
    """The server refused the prompt for its length: cut and try again."""


class ModelRefused(ModelError):
    """The server refused the request for good (wrong key, unknown model, bad conversation)."""


class BudgetUsedUp(ModelError):
    """There is no money left for another turn; the message says whose, and reads after "before"."""


class LostLease(AgentError):
    """Another worker owns this run now: stop writing at once."""


class RunStopped(AgentError):
    """The run has to stop; the message says why."""
