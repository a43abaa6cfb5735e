"""Pull requests of the App that nobody looks at: reminded of, closed, and opened again."""
