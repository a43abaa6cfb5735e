"""Programs that the offline model sends into the sandbox; the host only reads their text."""
