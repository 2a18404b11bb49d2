"""Rules about changes to the law itself."""

from __future__ import annotations

from policies.case import Case
from policies.verdict import Verdict, allow, deny, needs_approval

_LOCKED = "the new law could never be changed again"


def law_readable(case: Case) -> Verdict | None:
    """The policy files can be read as the merge would leave them, and changed again: else everything after it would be refused."""
    law = case.facts.law
    if law is None:
        return None
    if law.problem is not None:
        return deny("law_readable", f"{law.problem[:400]}; ./elf policy check FOLDER says the same of your files")
    if law.locked is not None:
        return deny(
            "law_readable", f"{_LOCKED}: {law.locked[:400]}; ./elf policy check FOLDER says the same of your files"
        )
    if law.unproven is not None:
        return needs_approval(
            "law_readable",
            f"without the people whom it adds {_LOCKED}: {law.unproven[:300]}; let one of them review this change, "
            "which shows that they are there, or keep the law as it is for whoever is",
        )
    return allow("law_readable", "the new law can be read; it binds from the next change on, not this one")
