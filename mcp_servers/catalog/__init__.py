"""Tool servers that the company added to itself, a folder each, made by the MCP factory and merged by pull request."""
