"""The registry as the teams see it."""
