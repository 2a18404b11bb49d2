"""What a person changed in a file is carried over to main; what they did not touch is never taken back from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_servers.git.carried import Brought, Carried, carry_over
from mcp_servers.git.command import run_git
from mcp_servers.git.objects import Signature
from mcp_servers.git.repository import Repository

pytestmark = pytest.mark.rows("L3")
PATH, WHO, WHEN = "policies/limits.yaml", Signature("x", "x@x"), datetime(2026, 11, 20, tzinfo=UTC)
LINES = 12

#: An edit of a file of numbered lines: line -> value.
Edit = dict[int, int]
of_main = st.dictionaries(st.integers(0, LINES - 1), st.integers(1, 3), max_size=4)
#: What main comes to by itself is none of the person's: who makes main's changes again cannot be told from who takes back the rest.
of_mine = st.dictionaries(st.integers(0, LINES - 1), st.integers(7, 9), max_size=4)


def text(values: Sequence[int]) -> bytes:
    return "".join(f"field_{line}: {value}\n" for line, value in enumerate(values)).encode()


def edited(values: Sequence[int], edit: Edit) -> list[int]:
    return [edit.get(line, value) for line, value in enumerate(values)]


def carried(versions: Sequence[bytes], mine: bytes, *, whole: bool = False) -> tuple[Carried, bytes]:
    """What comes of the file on top of a main that went through these versions; and its bytes then."""
    with TemporaryDirectory() as folder:
        run_git(Path(folder), ["init", "--quiet", "--bare", "--initial-branch=main", folder])
        repository, tip = Repository(Path(folder)), None
        for version in versions:
            tree = repository.write_tree(None, {PATH: version})
            tip = repository.commit_tree(tree, [tip] if tip else [], "version\n", WHO, WHEN)
        assert tip is not None
        done = carry_over(repository, tip, [Brought(PATH, mine)], whole=whole)
        return done, done.files.get(PATH) or versions[-1]


def taken_back(values: Sequence[Sequence[int]], mine: Sequence[int], begun: Sequence[int], after: bytes) -> list[int]:
    """Lines that the person did not touch and that are not as main has them."""
    wanted, lines = text(values[-1]).splitlines(), after.splitlines()
    return [line for line in range(LINES) if mine[line] == begun[line] and lines[line] != wanted[line]]


@settings(max_examples=40, deadline=None)
@given(st.lists(of_main, min_size=1, max_size=3), st.integers(0, 2), of_mine)
def test_no_line_that_a_person_left_alone_is_taken_back(mains: list[Edit], where: int, edit: Edit) -> None:
    values = [[0] * LINES]
    for one in mains:
        values.append(edited(values[-1], one))
    begun = values[min(where, len(values) - 1)]
    mine = edited(begun, edit)
    done, after = carried([text(one) for one in values], text(mine))
    assert done.conflicts or not taken_back(values, mine, begun, after)


def test_without_looking_for_where_it_began_main_would_be_taken_back() -> None:
    begun = [0] * LINES
    values, mine = [begun, edited(begun, {2: 1})], edited(begun, {9: 1})
    assert taken_back(values, mine, begun, carried([text(one) for one in values], text(mine), whole=True)[1]) == [2]
    assert carried([text(one) for one in values], text(mine))[1] == text(edited(begun, {2: 1, 9: 1}))


def test_one_edit_after_the_other_of_the_same_line_goes_through() -> None:
    values = [[0] * LINES, edited([0] * LINES, {2: 7})]
    done, after = carried([text(one) for one in values], text(edited(values[0], {2: 8})))
    assert not done.conflicts and after == text(edited(values[0], {2: 8}))


def test_what_main_added_beside_a_line_of_the_persons_is_not_dropped() -> None:
    begun = text([0] * LINES)
    main, mine = begun.replace(b"field_2: 0\n", b"field_2: 7\n# kept\n"), begun.replace(b"field_2: 0", b"field_2: 8")
    done, after = carried([begun, main], mine)
    assert done.conflicts == [PATH] or b"# kept" in after


def test_a_file_that_main_never_had_and_one_that_is_removed_are_as_the_person_has_them() -> None:
    assert carried([b"a: 1\n"], b"b: 1\n")[0].files == {PATH: b"b: 1\n"}
    with TemporaryDirectory() as folder:
        run_git(Path(folder), ["init", "--quiet", "--bare", "--initial-branch=main", folder])
        repository = Repository(Path(folder))
        tip = repository.commit_tree(repository.write_tree(None, {PATH: b"a\n"}), [], "begin\n", WHO, WHEN)
        brought = [Brought("new.md", b"n\n"), Brought(PATH, None), Brought("never.md", None)]
        assert carry_over(repository, tip, brought, whole=False).files == {"new.md": b"n\n", PATH: None}
        program = carry_over(repository, tip, [Brought(PATH, b"a\n", "100755")], whole=False)
        assert (program.files, program.modes) == ({PATH: b"a\n"}, {PATH: "100755"})
