"""The schema's history: a file a revision in `versions/`; `database.migrate` applies them."""
