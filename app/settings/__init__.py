"""Every setting with its sentence, and where settings are loaded from."""
