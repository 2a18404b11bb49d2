"""What to do about a failure: the seven answers, as one pure decision. Whoever asks carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from teams.resilience.waits import BASE_S, MOST_S


class Failure(StrEnum):
    """How a call outside went wrong."""

    RATE_LIMIT = "rate_limit"  # too fast; it passes
    QUOTA = "quota"  # used up; it does not pass today
    TIMEOUT = "timeout"
    OUTAGE = "outage"  # unreachable, or answers 5xx
    MALFORMED = "malformed"  # answers what nobody can read
    OVERLOAD = "overload"  # we ourselves have too much to do
    REFUSED = "refused"  # a definite no: wrong request, not allowed, over budget


class Answer(StrEnum):
    """The seven answers, and `give up`, which hands the failure on as it is."""

    RETRY = "retry"
    SWITCH = "switch provider"
    DEGRADE = "degrade"
    QUEUE = "queue"
    CACHE = "cache"
    BREAK = "break circuit"
    SHED = "shed load"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Situation:
    """What is known when it fails. `time_left`: until the caller's deadline, None for no deadline."""

    attempts: int = 1
    failures_in_a_row: int = 1
    #: May it be done twice? (It reads only, or carries an idempotency key.)
    repeatable: bool = True
    another_provider: bool = False
    cached: bool = False
    #: Is less than the whole answer of any use (a cheaper model, a shorter text)?
    lesser: bool = False
    #: Does nobody wait for the answer now?
    can_wait: bool = False
    time_left: timedelta | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class AnswerLaw:
    attempts: int = 3
    failures: int = 5
    first_wait: timedelta = timedelta(seconds=BASE_S)
    longest_wait: timedelta = timedelta(seconds=MOST_S)


@dataclass(frozen=True)
class Decision:
    """What to do, after which wait, and why."""

    answer: Answer
    why: str
    wait: timedelta = timedelta(0)


_PASSES = {Failure.RATE_LIMIT, Failure.TIMEOUT, Failure.OUTAGE, Failure.MALFORMED}
_THEIR_FAULT = {Failure.TIMEOUT, Failure.OUTAGE, Failure.MALFORMED}


def answer_to(failure: Failure, now: Situation, law: AnswerLaw) -> Decision:
    """The answer to a failure.

    In this order: a no stays a no; our own overload is shed or queued; what fails again and again is not asked any more; what may
    pass is tried again while there is time; then another provider, what is still known, less, later; else the failure goes on.
    """
    if failure is Failure.REFUSED:
        return Decision(Answer.GIVE_UP, "the answer is a definite no; asking again does not change it")
    if failure is Failure.OVERLOAD:
        if now.can_wait:
            return Decision(Answer.QUEUE, "too much is under way here, and nobody waits for this", _wait(now, law))
        return Decision(
            Answer.SHED, "too much is under way here; new work is refused until it is done", _wait(now, law)
        )
    if failure in _THEIR_FAULT and now.failures_in_a_row >= law.failures:
        rest = _elsewhere(now, law)
        if rest.answer is Answer.GIVE_UP:
            return Decision(Answer.BREAK, f"{now.failures_in_a_row} failures in a row; it is left alone for a while")
        return rest
    if failure in _PASSES and now.repeatable and now.attempts < law.attempts and _in_time(now, law):
        return Decision(Answer.RETRY, f"try {now.attempts} of {law.attempts} failed, and it may pass", _wait(now, law))
    if failure is not Failure.QUOTA and not now.repeatable:
        return Decision(Answer.GIVE_UP, "it may have been done already, and must not be done twice")
    return _elsewhere(now, law)


def _elsewhere(now: Situation, law: AnswerLaw) -> Decision:
    if now.another_provider:
        return Decision(Answer.SWITCH, "another provider can answer")
    if now.cached:
        return Decision(Answer.CACHE, "an earlier answer is still good enough")
    if now.lesser:
        return Decision(Answer.DEGRADE, "a lesser answer is better than none")
    if now.can_wait:
        return Decision(Answer.QUEUE, "nobody waits for it now", _wait(now, law))
    return Decision(Answer.GIVE_UP, "no other way is left")


def _wait(now: Situation, law: AnswerLaw) -> timedelta:
    if now.retry_after is not None:
        return min(max(now.retry_after, timedelta(0)), law.longest_wait)
    return min(law.first_wait * 2 ** min(now.attempts - 1, 30), law.longest_wait)


def _in_time(now: Situation, law: AnswerLaw) -> bool:
    """A wait that ends after the deadline, or shorter than the provider asks for, is no help."""
    if now.retry_after is not None and now.retry_after > law.longest_wait:
        return False
    return now.time_left is None or _wait(now, law) < now.time_left
