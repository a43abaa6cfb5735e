"""A stand-in GitHub: REST, webhooks and git over HTTP, with people who act; see ../README.md."""
