"""The embedded default model: search-based repair, no language model at all.

It reproduces the bug from a failing test or from the example in the issue, localises it by
spectrum, tries many small changes of the suspicious code and keeps the ledger. It is honest about
its reach: small bugs in Python that a change of one place fixes.
"""

from agent.models.offline.model import OfflineModel

__all__ = ["OfflineModel"]
