"""The rehearsal model: the keyless default. Deterministic, offline, and limited to the words of the request it reads."""

from mcp_servers.gateway.rehearsal.model import answer

__all__ = ["answer"]
