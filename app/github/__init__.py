"""What the app needs of GitHub, and PyGithub's side of it."""
