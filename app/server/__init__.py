"""Processes: the service, the workers, and what runs beside them."""
