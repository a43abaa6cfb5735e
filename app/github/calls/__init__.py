"""What the forge asks of GitHub, by subject: blocking calls, which read answers as JSON."""
