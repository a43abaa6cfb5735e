"""Running a repository's tests in a sandbox and reading their results."""
