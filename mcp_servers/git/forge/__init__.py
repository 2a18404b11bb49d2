"""The embedded forge: a GitHub-compatible REST subset and Git smart HTTP over real bare repositories.

Repositories live at `<root>/<owner>/<repo>.git`, everything else in `<root>/forge.sqlite3`. What Git can tell (heads, files,
mergeability, what is merged) is read from Git each time.
"""

from mcp_servers.git.forge.app import create_forge
from mcp_servers.git.forge.identity import GATE, PERSON, PROPOSER, Identity, Right, token_sha256
from mcp_servers.git.forge.limits import Limits
from mcp_servers.git.forge.protection import ProtectionMissing
from mcp_servers.git.forge.seed import SeedRefused, seed
from mcp_servers.git.forge.site import bare_path

__all__ = [
    "GATE",
    "PERSON",
    "PROPOSER",
    "Identity",
    "Limits",
    "ProtectionMissing",
    "Right",
    "SeedRefused",
    "bare_path",
    "create_forge",
    "seed",
    "token_sha256",
]
