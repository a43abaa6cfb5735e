"""The GitHub App: settings, service, runs, storage and commands."""
