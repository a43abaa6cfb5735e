"""The database itself: its connections, how its schema comes up to date, and shared commits."""
