"""All rules, in the order in which the verdict shows them. A rule is a function of the case, and of nothing else."""

from __future__ import annotations

from policies import checks_rules, content_rules, law_rules, limit_rules, people_rules, server_rules, written_rules
from policies.case import Rule

RULES: tuple[tuple[str, Rule], ...] = (
    ("refs", content_rules.refs),
    ("fresh", content_rules.fresh),
    ("mergeable", content_rules.mergeable),
    ("paths", content_rules.paths),
    ("history", content_rules.history),
    ("authority", people_rules.authority),
    ("sizes", content_rules.sizes),
    ("spec", content_rules.spec),
    ("rerender", content_rules.rerender),
    ("reports", content_rules.reports),
    ("free_name", content_rules.free_name),
    ("tools", content_rules.tools),
    ("law_readable", law_rules.law_readable),
    ("server_spec", server_rules.server_spec),
    ("server_rerender", server_rules.server_rerender),
    ("server_reach", server_rules.server_reach),
    ("text", checks_rules.text),
    ("secrets", checks_rules.secrets),
    ("code", checks_rules.code),
    ("manifests", checks_rules.manifests),
    ("checks", checks_rules.checks),
    ("new_teams", limit_rules.new_teams),
    ("cooldown", limit_rules.cooldown),
    ("rates", limit_rules.rates),
    ("open_changes", limit_rules.open_changes),
    ("daily_budget", limit_rules.daily_budget),
    ("forecast", limit_rules.forecast),
    ("freeze", limit_rules.freeze),
    ("stale", limit_rules.stale),
    ("written", written_rules.written),
    ("objections", people_rules.objections),
    ("approvals", people_rules.approvals),
)

_OF_CONTENT = frozenset(
    {
        "mergeable",
        "paths",
        "history",
        "authority",
        "sizes",
        "spec",
        "rerender",
        "reports",
        "free_name",
        "tools",
        "server_spec",
        "server_rerender",
    }
)
#: Those that need nothing but the two commits and their author: who approved and what else is under way does not matter to them.
CONTENT_RULES = tuple((name, rule) for name, rule in RULES if name in _OF_CONTENT)
