"""The language model that the settings name, with usage counted."""
