"""What is published on GitHub: branch, pull request, check run, comments."""
