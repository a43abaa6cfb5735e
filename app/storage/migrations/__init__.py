"""The schema's history: a file a revision in `versions/`; `app.storage.migrate` applies them."""
