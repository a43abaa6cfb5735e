"""The hypothesis-test loop: events, state, tools, models and the gate."""
