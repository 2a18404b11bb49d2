"""What `./elf doctor` says of tool servers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def findings(servers: Mapping[str, Any]) -> list[str]:
    """What is wrong, a sentence each, for `./elf doctor`."""
    found: list[str] = []
    for one in servers["servers"]:
        if one["admitted"] and not one["healthy"]:
            found.append(f"the tool server {one['server']} is ill: {one['problem']}")
        found += [
            f"{one['server']}__{it['tool']} is in quarantine ({it['why']}): have it restored, or see the difference and "
            f"propose it with ./elf gateway admit {one['server']}"
            for it in one["quarantined"]
            if it["admitted_sha256"]
        ]
        found += [
            f"the tool server {one['server']} has no secret {name}: set ELF_SECRET_{name}"
            for name in one["missing_secrets"]
        ]
    found += [f"the cluster, {one['where']}: {one['problem']}" for one in servers["cluster"] if one["problem"]]
    return found
