"""The durable queue: its workflows' names, the outbox, workers and takeover."""
