"""Failed CI jobs of the run's own pull request are run again where there is evidence for chance."""
