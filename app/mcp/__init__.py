"""MCP servers of the operator: tools that runs may use beside those of the sandbox."""
