"""Mail merge for plain text letters."""
