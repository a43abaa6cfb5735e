"""Programs that the gate sends into a sandbox. They run there only, never on the host."""
