"""What the company tells a team while it runs: files in a folder that only the company writes to."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from teams.chart import REPORTS, Report

REPORTS_FILE = "reports.json"

log = logging.getLogger(__name__)


def read_reports(told_dir: Path) -> tuple[Report, ...]:
    """The teams that report to this one, as main has it now. Nothing told, or nothing that can be read: none."""
    try:
        return REPORTS.validate_json((told_dir / REPORTS_FILE).read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        log.warning("what was told of the teams that report to this one cannot be read: %s", error)
        return ()
