"""A stand-in for an SGLang server that serves Kimi K2 Thinking: same wire, no model.

`python -m tests.doubles.sglang --port 30000 --script turns.json`; see docs/models.md.
"""
