"""Whether this folder is the team that its team.yaml describes. Needs no network, no model and no framework."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams.runtime.package import read_spec
from teams.runtime.testing import Recorder, as_specified
from teams.spec import Member

from .. import tools
from ..agents import AGENTS
from ..crew import PLAN, build
from ..tasks import WORK

FOLDER = Path(__file__).parent.parent
SPEC = read_spec(FOLDER)


def test_the_folder_bears_the_name_of_the_team() -> None:
    assert FOLDER.name == SPEC.folder


@pytest.mark.parametrize("member", SPEC.members, ids=[member.name for member in SPEC.members])
def test_an_agent_is_who_the_spec_says(member: Member) -> None:
    assert AGENTS[member.name](Recorder()) == as_specified(SPEC, member)


def test_there_are_no_agents_and_no_tools_beyond_the_spec() -> None:
    assert set(AGENTS) == {member.name for member in SPEC.members}
    assert {member.name: member.tools for member in SPEC.members} == tools.TOOLS


def test_the_work_is_done_in_the_order_of_the_spec() -> None:
    done = [(piece.name, piece.member, piece.description, piece.expected_output) for piece in WORK]
    assert done == [(piece.name, piece.member, piece.description, piece.expected_output) for piece in SPEC.work]


def test_the_manager_leads_and_the_skeptic_doubts() -> None:
    assert (PLAN.process, PLAN.manager) == (SPEC.process, SPEC.manager.name)
    assert PLAN.skeptic == (SPEC.skeptic.name if SPEC.skeptic else None)
    assert PLAN.work is WORK


def test_the_runtime_can_build_it() -> None:
    assert callable(build)
