"""Programs that are copied into the sandbox: test runners load them, and they report each test."""
