"""A run that a night started: what an issue is, before anything is fixed or said."""
