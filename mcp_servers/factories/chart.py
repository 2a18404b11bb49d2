"""Teams become the files their parents know them by. Pure: the same teams give the same bytes, on any machine."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from mcp_servers.factories.spec_files import Canonical
from teams.chart import Report, relations, report_of, report_path
from teams.spec import TeamSpec

_HEAD = "# Made by the team factory from the child's team.yaml; it changes with it, in the same change.\n"


def render_chart(teams: Iterable[TeamSpec]) -> dict[str, bytes]:
    """Every relation among `teams`, by its path from the root of the repository."""
    return {report_path(parent, child): _file(report_of(child)) for parent, child in relations(teams)}


def _file(report: Report) -> bytes:
    text = yaml.dump(report.model_dump(mode="json"), Dumper=Canonical, sort_keys=False, allow_unicode=True, width=110)
    return (_HEAD + text).encode()
