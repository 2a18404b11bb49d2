"""`./elf policy check` says beforehand what the gate would refuse of the law itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bootstrap.home import Home
from bootstrap.policy import check_policies
from policies import law

FOLDER = Path(law.__file__).parent
LAWS = "  law:\n    agents_in: []\n    people_in: [policies]\n    approvals: 1\n"


def checked(folder: Path, name: str, old: str, new: str) -> tuple[bool, str]:
    for path in FOLDER.glob("*.yaml"):
        shutil.copy(path, folder)
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), "utf-8")
    found = check_policies(folder, folder, Home(folder / "home"))
    return found["ok"], "\n".join(found["lines"][1:])


@pytest.mark.rows("F106", "L3")
@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("changes.yaml", LAWS, LAWS.replace("[policies]", "[]"), "may propose a law change in: nowhere"),
        ("changes.yaml", LAWS, LAWS.replace("approvals: 1", "approvals: 9"), "wants 9 approvals"),
        ("changes.yaml", LAWS, "", "says nothing of a law change"),
        ("overrides.yaml", ", own_approval]", "]", "wants 1 approval"),
        ("limits.yaml", "open_changes_per_requester: 10", "open_changes_per_requester: 0", ""),
    ],
)
def test_a_law_that_could_never_be_changed_again_is_told_beforehand(
    tmp_path: Path, name: str, old: str, new: str, said: str
) -> None:
    ok, lines = checked(tmp_path, name, old, new)
    if said:
        assert not ok and lines.startswith("this law could never be changed again: ") and said in lines
    else:
        assert ok, "what an override lifts is no lock"


def test_a_rule_that_would_only_seem_to_bind_the_law_is_told_too(tmp_path: Path) -> None:
    pytest.importorskip("cel_expr_python", reason="cel-expr-python is an extra")
    rule = "rules:\n  a: {when: kind == 'law', then: needs_approval, reason: because it was decided so}"
    assert checked(tmp_path, "rules.yaml", "rules: {}", rule) == (
        False,
        "policies/rules.yaml: rules.a speaks of law changes and is not asked of them; write kinds: [law] under it",
    )
