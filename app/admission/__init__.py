"""Who may start a run, and when a queued run may begin."""
