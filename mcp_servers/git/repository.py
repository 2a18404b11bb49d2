"""Git as typed calls: one bare or local repository, read and written through the git command line.

Every command is an argument list with a scrubbed environment: no configuration of the user or the machine, no hooks, no
replace refs, no prompt. Revisions go in by standard input or after a check, so none can pass for an option.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_servers.git.errors import GitFailed, NoMergeBase, RefMoved, UnknownRevision, UnsafePath

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
NO_SHA = "0" * 40
TIMEOUT_SECONDS = 30.0
FILE_MODES = frozenset({"100644", "100755"})
