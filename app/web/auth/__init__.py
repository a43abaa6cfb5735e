"""Who looks at the pages: the operator's token and sign-in with GitHub."""
