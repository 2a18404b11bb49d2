"""The delivery graph: LangGraph carries a request through its steps, checkpointed after each, and lets it wait for a person.

One thread a wish, of which a message may hold several. Whether something is done is read from Git and the cluster at every look,
never from a checkpoint.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypedDict
from weakref import WeakValueDictionary

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from meta_teams.delivery.desk import Desk, Door, Voice
from meta_teams.delivery.next_step import Facts, Step, is_over, next_step
from meta_teams.delivery.outcomes import reply_state, report, sentence, waiting
from meta_teams.delivery.steps import STEPS, check
from meta_teams.delivery.waits import Waits
from teams.messages import ChangeEvent, Directive, Incident, Outcome, TeamCreationRequest
from teams.runtime.work import Run, RunResult
from teams.spec import TeamSpec

#: Supersteps of one go; the longest way has about twenty.
_MOST_STEPS = 60
#: Stands in a thread's id before what tells one wish of a message from another; no correlation id has it.
_WISH = "#"
_MOST_KEY = 120


class State(TypedDict):
    """The facts as JSON values, so that a checkpoint holds nothing but data."""

    facts: dict[str, Any]


class Node(Protocol):
    async def __call__(self, state: State) -> State: ...


Graph = CompiledStateGraph[State, None, State, State]


def build(spec: TeamSpec, gateway: Door, conversation: Voice, checkpoint_path: Path) -> DeliveryTeam:
    """The DevOps team's worker. `checkpoint_path` is a SQLite file in the team's own folder; it is made if need be."""
    return DeliveryTeam(spec, gateway, conversation, checkpoint_path)


class DeliveryTeam:
    """A `TeamWorker`."""

    def __init__(self, spec: TeamSpec, gateway: Door, conversation: Voice, checkpoint_path: Path) -> None:
        self._spec, self._gateway, self._conversation, self._path = spec, gateway, conversation, checkpoint_path
        #: One go at a time a thread; a lock lives as long as somebody holds or awaits it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle(self, run: Run) -> RunResult:
        """Carries a request or an incident on as far as it goes, or looks again at what a nudged change is waited for by.

        The same wish under the same correlation id goes on where the first one stopped. A `GatewayError` ends this go, and not the thread.
        """
        desk = Desk(self._spec, self._gateway, self._conversation, run)
        desk.say(run.requester, run.text, self._spec.manager.name)
        async with self._books() as (saver, waits):
            if isinstance(run.envelope.payload, ChangeEvent):
                outcome = await self._nudged(desk, run.envelope.payload.change, saver, waits)
            else:
                outcome = await self._carry_on(desk, _thread_of(run), _first_facts(run), saver, waits)
        desk.say(self._spec.manager.name, sentence(outcome), run.requester)
        return RunResult(text=sentence(outcome), state=reply_state(outcome), data=outcome.model_dump(mode="json"))

    async def _nudged(self, desk: Desk, change: int, saver: AsyncSqliteSaver, waits: Waits) -> Outcome:
        """Every thread that waits for the change looks again. The message said only which change."""
        outcomes = [await self._carry_on(desk, thread, None, saver, waits) for thread in await waits.threads(change)]
        if outcomes:
            return outcomes[0]
        facts = Facts(change=change).model_copy(update=dict(await check(desk, Facts(change=change))))
        return report(facts) if is_over(facts) else waiting(facts)

    async def _carry_on(
        self, desk: Desk, thread: str, first: Facts | None, saver: AsyncSqliteSaver, waits: Waits
    ) -> Outcome:
        correlation = thread.partition(_WISH)[0]
        envelope = desk.run.envelope.model_copy(update={"correlation_id": correlation})
        desk = replace(desk, run=replace(desk.run, envelope=envelope), key=_key(thread))
        graph = _graph(desk, thread, saver, waits)
        config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": _MOST_STEPS}
        async with self._turns.setdefault(thread, asyncio.Lock()):
            before = await graph.aget_state(config)
            if before.created_at is None:
                if first is None:
                    raise AssertionError(f"nobody began the thread {thread}")
                go: Any = {"facts": first.model_dump(mode="json")}
            elif any(task.interrupts for task in before.tasks):
                go = Command(resume=True)
            else:
                go = None
            if before.created_at is None or before.next:
                await graph.ainvoke(go, config, durability="sync")
            facts = Facts.model_validate((await graph.aget_state(config)).values["facts"])
            if facts.outcome is None:
                return waiting(facts)
            await waits.done(thread)
            return facts.outcome

    @asynccontextmanager
    async def _books(self) -> AsyncGenerator[tuple[AsyncSqliteSaver, Waits]]:
        async with aiosqlite.connect(self._path, timeout=30) as connection:
            saver, waits = AsyncSqliteSaver(connection), Waits(connection)
            await saver.setup()
            await waits.prepare()
            yield saver, waits


def _thread_of(run: Run) -> str:
    """Two wishes of one message share its correlation id, and the same wish sent again is told from another by its words."""
    payload = run.envelope.payload
    if not isinstance(payload, TeamCreationRequest):
        return run.correlation_id
    return f"{run.correlation_id}{_WISH}{hashlib.sha256(payload.capability_gap.encode()).hexdigest()[:12]}"


def _key(thread: str) -> str:
    """The idempotency key of what a thread proposes."""
    return thread if len(thread) <= _MOST_KEY else hashlib.sha256(thread.encode()).hexdigest()


def _first_facts(run: Run) -> Facts:
    """What a thread begins with. Plain words asked of this team are a wish for a capability like any other."""
    payload = run.envelope.payload
    if isinstance(payload, Incident):
        return Facts(incident=payload)
    if isinstance(payload, TeamCreationRequest):
        return Facts(request=payload)
    request = TeamCreationRequest(
        capability_gap=run.text,
        urgency=run.envelope.priority,
        requesting_team=run.requester,
        business_justification=payload.rationale if isinstance(payload, Directive) else "Asked for directly.",
        requester=run.requester,
    )
    return Facts(request=request)


def _graph(desk: Desk, thread: str, saver: AsyncSqliteSaver, waits: Waits) -> Graph:
    """A node a step; after each, `next_step` says which is next."""
    graph: StateGraph[State, None, State, State] = StateGraph(State)
    for step in STEPS:
        graph.add_node(step.value, _node(desk, step))
    graph.add_node(Step.WAIT.value, _wait(thread, waits))
    ways: dict[Hashable, str] = {step.value: step.value for step in Step if step is not Step.END}
    ways[Step.END.value] = END
    for source in (START, *(step.value for step in Step if step is not Step.END)):
        graph.add_conditional_edges(source, _way, ways)
    return graph.compile(checkpointer=saver)


def _way(state: State) -> str:
    return next_step(Facts.model_validate(state["facts"])).value


def _node(desk: Desk, step: Step) -> Node:
    async def node(state: State) -> State:
        facts = Facts.model_validate(state["facts"])
        found = await STEPS[step](desk, facts)
        return {"facts": facts.model_copy(update=dict(found)).model_dump(mode="json")}

    return node


def _wait(thread: str, waits: Waits) -> Node:
    async def wait(state: State) -> State:
        facts = Facts.model_validate(state["facts"])
        if facts.change is None:
            raise AssertionError("only a change is waited for")
        await waits.add(facts.change, thread)
        interrupt({"change": facts.change})
        return {
            "facts": facts.model_copy(update={"progress": None, "status": None, "served": None}).model_dump(mode="json")
        }

    return wait
