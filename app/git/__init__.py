"""Git on the host: bare mirrors, archives of trees, and checks of patches."""
