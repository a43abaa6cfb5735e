"""What the stand-in GitHub answers, one module an area of the API."""
