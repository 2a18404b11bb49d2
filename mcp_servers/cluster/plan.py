"""What the reconciler does next for one team: decided here, from facts, without touching anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

#: A tree that has not become healthy by then is sick.
START_DEADLINE = timedelta(seconds=60)
#: A team that was healthy and is not any more is restarted after this.
SILENCE_LIMIT = timedelta(seconds=10)
#: Crashes before a tree that never was healthy is called sick.
CRASHES_ALLOWED = 3
BACKOFF_START, BACKOFF_LIMIT = timedelta(seconds=1), timedelta(seconds=60)
#: A deployment is replaced by a fresh one at this age, whatever became of its tokens.
ROTATE_AFTER = timedelta(days=6)
#: How long a member's token is good for. It is renewed at half of that; where that fails, the deployment is replaced
#: shortly before the end.
TOKEN_LIFETIME = timedelta(hours=1)
_RENEW_AT, _REPLACE_AT = 1 / 2, 11 / 12

Health = Literal["ok", "starting", "failing", "unreachable"]


@dataclass(frozen=True)
class Observed:
    """One deployment: what was written down of it, and what it looks like now."""

    deployment_id: str
    tree: str
    started_at: datetime
    healthy_at: datetime | None
    ended_at: datetime | None
    ended_as: str | None
    #: Does its process live?
    alive: bool
    health: Health
    #: Since when `health` is what it is.
    health_since: datetime
    reason: str = ""
    #: When its present tokens were issued; None: when it started.
    tokens_at: datetime | None = None
    #: The last try to renew them failed.
    renewal_failed: bool = False


@dataclass(frozen=True)
class Start:
    tree: str


@dataclass(frozen=True)
class Stop:
    deployment_id: str
    reason: str
    ended_as: Literal["stopped", "failed"] = "stopped"


@dataclass(frozen=True)
class MarkHealthy:
    deployment_id: str


@dataclass(frozen=True)
class MarkCrashed:
    deployment_id: str


@dataclass(frozen=True)
class Renew:
    """Give the deployment's members new tokens."""

    deployment_id: str


@dataclass(frozen=True)
class Incident:
    tree: str
    reason: str


Action = Start | Stop | MarkHealthy | MarkCrashed | Renew | Incident


def plan(
    desired: str | None,
    observed: Sequence[Observed],
    verified: Sequence[str],
    now: datetime,
    token_lifetime: timedelta = TOKEN_LIFETIME,
) -> list[Action]:
    """The next actions for one team: what becomes of its deployments, and which of them get new tokens.

    `desired` is the tree main has (None: the team left main), `observed` its deployments oldest first, `verified` the trees that
    have been healthy, latest first. A new tree starts beside the serving one, which ends only when the new one is healthy.
    """
    actions = _deployments(desired, observed, verified, now, token_lifetime)
    ending = {action.deployment_id for action in actions if isinstance(action, Stop | MarkCrashed)}
    renewals = (
        Renew(one.deployment_id)
        for one in observed
        if one.ended_at is None and one.alive and _token_age(one, now) >= token_lifetime * _RENEW_AT
    )
    return [*actions, *(one for one in renewals if one.deployment_id not in ending)]


def _deployments(
    desired: str | None, observed: Sequence[Observed], verified: Sequence[str], now: datetime, lifetime: timedelta
) -> list[Action]:
    open_ones = [one for one in observed if one.ended_at is None]
    crashed: list[Action] = [MarkCrashed(one.deployment_id) for one in open_ones if not one.alive]
    if crashed:
        return crashed
    if desired is None:
        return [Stop(one.deployment_id, "the team left main") for one in open_ones]
    current = [one for one in open_ones if one.tree == desired]
    actions: list[Action] = []
    if current:
        actions += _tend(current[-1], now)
        if current[-1].healthy_at is not None:
            newest = current[-1].deployment_id
            actions += [Stop(one.deployment_id, "replaced") for one in open_ones if one.deployment_id != newest]
            worn = now - current[-1].started_at > ROTATE_AFTER or _losing_tokens(current[-1], now, lifetime)
            if not actions and worn and _may_start(desired, observed, now):
                actions.append(Start(desired))
        return actions
    if sick := _sick(desired, observed, verified):
        return [Incident(desired, sick), *_fall_back(desired, open_ones, observed, verified, now, lifetime)]
    return [Start(desired)] if _may_start(desired, observed, now) else []


def _tend(one: Observed, now: datetime) -> list[Action]:
    if one.health == "ok":
        return [] if one.healthy_at else [MarkHealthy(one.deployment_id)]
    if one.healthy_at is None:
        if one.health == "failing":
            return [Stop(one.deployment_id, one.reason or "its health check says no", "failed")]
        if now - one.started_at > START_DEADLINE:
            waited = int(START_DEADLINE.total_seconds())
            return [Stop(one.deployment_id, f"not healthy after {waited} s: {one.reason or one.health}", "failed")]
        return []
    if now - one.health_since > SILENCE_LIMIT:
        return [Stop(one.deployment_id, f"{one.health}: {one.reason or 'no answer'}", "failed")]
    return []


def _sick(tree: str, observed: Sequence[Observed], verified: Sequence[str]) -> str | None:
    """Why this tree counts as sick; None while it may still be tried. A tree that has been healthy is only restarted."""
    if tree in verified:
        return None
    endings = [one for one in observed if one.tree == tree and one.ended_at is not None]
    failed = [one for one in endings if one.ended_as == "failed"]
    if failed:
        return failed[-1].reason or "its health check says no"
    crashes = [one for one in endings if one.ended_as == "crashed"]
    if len(crashes) >= CRASHES_ALLOWED:
        return f"its process ended {len(crashes)} times before it was healthy: {crashes[-1].reason}"
    return None


def _fall_back(
    desired: str,
    open_ones: list[Observed],
    observed: Sequence[Observed],
    verified: Sequence[str],
    now: datetime,
    lifetime: timedelta,
) -> list[Action]:
    """While main holds a sick tree, the last verified one serves."""
    candidates = [tree for tree in verified if tree != desired]
    if not candidates:
        return []
    serving = [one for one in open_ones if one.tree == candidates[0]]
    if serving and _losing_tokens(serving[-1], now, lifetime):
        return [Stop(serving[-1].deployment_id, "its tokens could not be renewed")]
    if serving:
        return _tend(serving[-1], now)
    return [Start(candidates[0])] if _may_start(candidates[0], observed, now) else []


def _token_age(one: Observed, now: datetime) -> timedelta:
    return now - (one.tokens_at or one.started_at)


def _losing_tokens(one: Observed, now: datetime, lifetime: timedelta) -> bool:
    """Its tokens are about to end and renewing them fails. (A machine that slept finds old tokens, and renews them.)"""
    return one.renewal_failed and _token_age(one, now) >= lifetime * _REPLACE_AT


def _may_start(tree: str, observed: Sequence[Observed], now: datetime) -> bool:
    """A process that was healthy for a while starts again at once; one that keeps ending waits longer each time."""
    in_a_row = 0
    last_end: datetime | None = None
    for one in reversed(observed):
        if one.tree != tree or one.ended_at is None or one.ended_as == "stopped":
            continue
        last_end = last_end or one.ended_at
        if one.healthy_at is not None and one.ended_at - one.healthy_at > BACKOFF_LIMIT:
            break
        in_a_row += 1
    if last_end is None or in_a_row <= 1:
        return True
    wait = min(BACKOFF_START * 2 ** (in_a_row - 2), BACKOFF_LIMIT)
    return now - last_end >= wait
