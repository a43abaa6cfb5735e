"""What several tests share: worlds, runs, payloads, browsers."""
