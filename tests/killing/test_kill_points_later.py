"""The second half of the story's kill points, and two kills in one story (a file of its own, to run beside the first half)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.killing.telling import PARTS, Told, difference

pytestmark = [pytest.mark.rows("L5", "F102"), pytest.mark.slow]
#: The second meets the process that repairs what the first left.
PAIRS = [(3, 0), (5, 1), (9, 4), (29, 1), (31, 3), (90, 5)]


@pytest.mark.parametrize("part", range(PARTS // 2, PARTS))
def test_killed_at_any_moment_until_the_ill_team_is_back_it_ends_as_if_nothing_had_happened(
    telling: Callable[..., Told], undisturbed: Told, part: int
) -> None:
    at = part * len(undisturbed.passed) // PARTS
    assert difference(undisturbed, telling(at)) == {}, undisturbed.passed[at]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_killed_again_while_it_repairs_it_ends_the_same(
    telling: Callable[..., Told], undisturbed: Told, first: int, second: int
) -> None:
    assert difference(undisturbed, telling(first, second)) == {}
