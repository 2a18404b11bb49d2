"""Rules about changes to the law itself."""

from __future__ import annotations

from policies.case import Case
from policies.verdict import Verdict, allow, deny


def law_readable(case: Case) -> Verdict | None:
    """The policy files can be read as the merge would leave them: else everything after it would be refused."""
    law = case.facts.law
    if law is None:
        return None
    if law.problem is not None:
        return deny("law_readable", f"{law.problem[:400]}; ./elf policy check FOLDER says the same of your files")
    return allow("law_readable", "the new law can be read; it binds from the next change on, not this one")
