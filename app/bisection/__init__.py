"""`patchwright bisect`: which commit of a local repository broke it."""
