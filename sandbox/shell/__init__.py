"""One persistent shell in a container, and the sandbox made of it."""
