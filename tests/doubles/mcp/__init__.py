"""MCP servers: an honest one of the official package, and one that does what it should not."""
