"""The schema's history: one file a revision in `versions/`, applied at start by `app.storage.migrate`."""
