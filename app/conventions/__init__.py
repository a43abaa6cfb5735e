"""How a project wants changes made: its maintainers' documents, and what its history shows."""
