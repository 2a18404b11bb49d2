"""How answers look in a terminal. What a model or a team wrote is printed as text, never as markup or control codes."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_OUTCOME_STYLES = {"allow": "green", "deny": "red", "needs_approval": "yellow", "pending": "cyan"}
_STATE_STYLES = {"active": "green", "starting": "cyan", "healing": "yellow", "ill": "red", "down": "red"}
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: object, style: str = "") -> Text:
    """Foreign text without anything a terminal would act on."""
    return Text(_CONTROL.sub("", str(text)), style=style)


def said(console: Console, found: dict[str, Any]) -> None:
    """What the CEO answered, and what is really there."""
    console.print(Text(f"CEO{_label(found)}: ", style="bold"), plain(found["answer"]), sep="")
    for evidence in found["evidence"]:
        console.print("  evidence: ", plain(evidence["text"]), sep="", style="dim")


def answered(console: Console, found: dict[str, Any]) -> None:
    console.print(Text(f"{found['team']}{_label(found)}: ", style="bold"), plain(found["answer"]), sep="")
    if found["state"] != "completed":
        console.print(f"  (state: {found['state']})", style="yellow")


def _label(found: dict[str, Any]) -> str:
    return " [rehearsal, no real model]" if found.get("rehearsal") else ""


def status(console: Console, found: dict[str, Any]) -> None:
    table = _table("team", "state", "age", "restarts", "spent today", "of", "process", "why")
    for team in found["teams"]:
        table.add_row(
            team["team"],
            Text(team["state"], style=_STATE_STYLES.get(team["state"], "")),
            _age(team["age_seconds"]),
            str(team["restarts"]),
            f"${team['spent_today_usd']}",
            f"${team['daily_budget_usd']}",
            team["process"] or "",
            plain(team["reason"] or ""),
        )
    console.print(table)
    console.print(f"models: {found['models']}   teams shut in: {found['confinement']}", style="dim", markup=False)
    for name, why in found["models_left_out"].items():
        console.print(f"model left out: {name}: {why}", style="yellow", markup=False)
    console.print(f"proposed code is run in: {found['sandbox']}", style="dim", markup=False)


def teams(console: Console, found: dict[str, Any]) -> None:
    def branch(nodes: list[dict[str, Any]], depth: int) -> None:
        for node in nodes:
            lead = f" (led by {node['lead']})" if node["lead"] else ""
            known = found["teams"][node["team"]]
            line = f"{'  ' * depth}{node['team']}{lead}: {known['purpose']} [{known['framework']}, {known['size']} members]"
            console.print(plain(line))
            branch(node["children"], depth + 1)

    branch(found["hierarchy"], 0)


def log(console: Console, found: dict[str, Any]) -> None:
    for line in found["lines"]:
        head = f"{line['at'][11:19]} {line['speaker']} -> {line['listener']}: "
        console.print(plain(head, "cyan"), plain(line["text"]), sep="")
    if not found["lines"]:
        console.print("Nothing was said yet.")


def messages(console: Console, found: dict[str, Any]) -> None:
    for one in found["messages"]:
        head = f"{one['at'][:19].replace('T', ' ')} {one['sender']} -> {one['receiver']} [{one['kind']}] "
        console.print(plain(head, "cyan"), plain(one["correlation_id"], "dim"), sep="")
        console.print("  ", plain(one["text"]), sep="")
        console.print("  ", plain(f"{one['state']}: ", "dim"), plain(one["answer"] or ""), sep="")
    if not found["messages"]:
        console.print("No messages.")


def changes(console: Console, found: dict[str, Any]) -> None:
    if not found["changes"]:
        console.print(
            'No changes wait for you. The ended ones: ./elf changes --all. Tell the CEO what you need: ./elf say "…"'
        )
        return
    table = _table("no", "change", "state", "verdict", "asked by", "opened")
    for one in found["changes"]:
        outcome = one["verdict"]["outcome"] if one["verdict"] else ""
        table.add_row(
            str(one["number"]),
            plain(one["title"]),
            one["progress"].replace("_", " "),
            Text(outcome, style=_OUTCOME_STYLES.get(outcome, "")),
            plain(one["requester"] or one["author"]),
            one["created_at"][:16].replace("T", " "),
        )
    console.print(table)


def change(console: Console, found: dict[str, Any]) -> None:
    console.print(Text(f"#{found['number']} ", style="bold"), plain(found["title"], "bold"), sep="")
    console.print(
        f"{found['progress'].replace('_', ' ')}   branch {found['branch']}   head {found['head'][:12]}",
        style="dim",
        markup=False,
    )
    console.print(plain(found["body"]))
    console.print()
    for file in found["files"]:
        console.print(f"  {file['status']} {file['path']}", markup=False)
    console.print()
    verdict(console, found)
    if found.get("replay"):
        console.print()
        replay(console, found["replay"])


def what_if(console: Console, found: dict[str, Any]) -> None:
    console.print(plain(f"#{found['number']}, supposed: {'; '.join(found['supposed'])}", "bold"))
    verdict(console, found)


def replay(console: Console, found: dict[str, Any]) -> None:
    """Which past decisions another law would turn."""
    turned, untold = found["turned"], found["untold"]
    console.print(f"Under this law, {len(turned)} of {found['decisions']} past decisions would turn out otherwise.")
    if untold:
        console.print(f"{untold} cannot be replayed: the facts they were made by were not kept.", style="dim")
    if not turned:
        return
    table = _table("no", "judged", "of", "this law", "the new one", "why")
    for one in turned:
        outcomes = [Text(one[name], style=_OUTCOME_STYLES.get(one[name], "")) for name in ("before", "after")]
        table.add_row(
            f"#{one['number']}", one["at"], plain(f"{one['kind']} {one['about']}"), *outcomes, plain(one["why"])
        )
    console.print(table)


def verdict(console: Console, found: dict[str, Any]) -> None:
    """The verdict's tree, a reason at each node."""
    if not found["verdict"]:
        console.print("Not judged yet.")
        return

    from policies.verdict import Verdict

    for depth, one, said in Verdict.from_dict(found["verdict"]).lines():
        head = Text(f"{'  ' * depth}{one.outcome.value:<15}", style=_OUTCOME_STYLES.get(one.outcome.value, ""))
        console.print(head, plain(said), sep="")


def decided(console: Console, found: dict[str, Any]) -> None:
    console.print(plain(found["text"]))
    if found.get("verdict") and not found["merged"] and found["state"] == "open":
        verdict(console, found)


def audit(console: Console, found: dict[str, Any]) -> None:
    if not found["ok"]:
        console.print(plain(f"The ledger does NOT hold: row {found['first_bad']}: {found['reason']}", "red"))
    else:
        anchored = f", {found['anchors']} heads anchored in Git agree" if found["anchors"] else ""
        console.print(f"The ledger holds: {found['rows']} rows{anchored}.", style="green")
    after = found["after_last_anchor"]
    if after["rows"]:
        acts = ", ".join(f"{count} {action}" for action, count in after["actions"].items())
        console.print(
            plain(f"After the last anchor (row {found['last_anchor']}) lie {after['rows']} rows: {acts}.", "dim")
        )
    else:
        console.print("Nothing lies after the last anchor.", style="dim")


def audit_rows(console: Console, found: dict[str, Any]) -> None:
    table = _table("row", "at", "who", "did", "to", "outcome")
    for row in found["rows"]:
        table.add_row(
            str(row["seq"]),
            row["at"][:19].replace("T", " "),
            *(plain(row[name]) for name in ("actor", "action", "subject", "outcome")),
        )
    console.print(table)


def fixpoint(console: Console, found: dict[str, Any]) -> None:
    for team in found["teams"]:
        verdict_ = "the same bytes" if not team["differing"] else "differs: " + ", ".join(team["differing"])
        console.print(f"{team['team']}: {team['files']} files, {verdict_}", markup=False)


def doctor(console: Console, found: dict[str, Any]) -> None:
    for finding in found["findings"]:
        mark = Text("✓ " if finding["ok"] else "✗ ", style="green" if finding["ok"] else "red")
        console.print(mark, plain(f"{finding['what']}: {finding['text']}"), sep="")


def judged(console: Console, found: dict[str, Any]) -> None:
    console.print(plain(found["text"]))


_LEVEL_STYLES = {"ok": "green", "warning": "yellow", "critical": "red", "absent": "dim"}


def health(console: Console, found: dict[str, Any]) -> None:
    table = _table("resource", "level", "reading")
    for one in found["resources"]:
        level = Text(one["level"], style=_LEVEL_STYLES.get(one["level"], ""))
        table.add_row(one["resource"].replace("_", " "), level, plain(one["text"]))
        if one["remedy"]:
            table.add_row("", "", plain(one["remedy"], "dim"))
    console.print(table)
    if found["refusing_model_calls"]:
        console.print(plain(f"New model calls are refused: {found['refusing_model_calls']}", "red"))
    for thing, count in found["calls_waiting"].items():
        console.print(plain(f"{count} waiting for {thing}", "yellow"))
    for link, one in found["links_left_alone"].items():
        when = one["tried_again_at"]
        rest = f"is left alone until {when}" if when else "the next call tries it again"
        said = f"{link} failed {one['failures']} times in a row and {rest}"
        console.print(plain(said, "yellow"))
    console.print(plain(f"ledger: {found['ledger']}", "dim"))
    for alert in found["alerts"]:
        console.print(plain(f"! {alert['title']}: {alert['text']}", _LEVEL_STYLES.get(alert["level"], "")))
        console.print(plain(f"    {alert['outcome'] or 'about to be told'}", "dim"))
    if not found["alert_addresses"]:
        console.print("Nobody is told of alerts: set ELF_ALERT_URLS (Slack, Discord, email, …).", style="dim")


def policy(console: Console, found: dict[str, Any]) -> None:
    for line in found["lines"]:
        console.print(plain(line))


def rendered(console: Console, found: dict[str, Any]) -> None:
    for path in found["files"]:
        console.print(f"  {path}", markup=False)
    console.print(
        f"{found['team']}: {len(found['files'])} files in {found['out']} (digest {found['digest'][:16]})", markup=False
    )


def paths(console: Console, found: list[str]) -> None:
    for path in found:
        console.print(plain(path))


def reports(console: Console, found: dict[str, Any]) -> None:
    for what in ("written", "removed"):
        for path in found[what]:
            console.print(f"  {what} {path}", markup=False)
    if not found["written"] and not found["removed"]:
        console.print("  nothing to do", markup=False)
    console.print(f"{found['files']} files in {found['folder']}", markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def servers(out: Console, found: Any) -> None:
    for one in found["servers"]:
        missed = [tool for tool in one["quarantined"] if tool["admitted_sha256"]]
        state = "not admitted" if not one["admitted"] else "ill" if not one["healthy"] else "ok"
        if missed and one["healthy"]:
            state = f"{len(missed)} of its tools in quarantine"
        kind = f" ({one['kind']})" if one["kind"] else ""
        out.print(f"{one['server']}{kind}  {state}  {one['where']}", markup=False)
        if one["problem"]:
            out.print(f"    {one['problem']}", markup=False)
        if one["tools"]:
            out.print(f"    tools: {', '.join(one['tools'])}", markup=False)
        for tool in one["quarantined"]:
            style = "red" if tool in missed else "dim"
            out.print(plain(f"    in quarantine: {tool['tool']} ({tool['why']})", style))
        if missed:
            out.print(f"    see the difference, and propose it: ./elf gateway admit {one['server']}", markup=False)
        if one["missing"]:
            out.print(f"    admitted, and not there now: {', '.join(one['missing'])}", markup=False)
        for name in one["missing_secrets"]:
            out.print(f"    the secret {name} is not set (ELF_SECRET_{name})", style="red", markup=False)
        if (place := one.get("placed_by")) not in (None, one["where"]):
            out.print(f"    at {one['address']} ({place})", markup=False)
    for one in found["cluster"]:
        said = one["problem"] or f"services with the label: {one['services']}"
        out.print(f"the cluster, {one['where']}  {one['word']}  {said}", markup=False)


def exported(out: Console, found: Any) -> None:
    out.print(found["yaml"], markup=False, end="")
