"""Rules about files that say what a project needs and how it is built and published."""
