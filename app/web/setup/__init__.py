"""The page that makes the GitHub App."""
