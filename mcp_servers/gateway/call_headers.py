"""The headers that every call may bear, whatever it asks for: the run it belongs to, and how long it may wait for its turn."""

from __future__ import annotations

import re

#: `X-Elf-Run`: a task's or a correlation's id.
RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}")
#: `X-Elf-Wait`: whole seconds.
WAIT = re.compile(r"[0-9]{1,4}")
