"""Proof of a change that others made: its own tests without and with it, judged by the gate."""
