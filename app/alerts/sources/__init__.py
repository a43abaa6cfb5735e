"""What each monitoring service sends, read into one form."""
