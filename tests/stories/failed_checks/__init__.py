"""Stories about failed checks of the App's own pull request."""
