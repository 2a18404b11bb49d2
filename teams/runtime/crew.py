"""Teams made with CrewAI: its agents, tasks and crews, with the gateway's models and tools behind them."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from crewai import Agent, Crew, Process, Task
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.tools import BaseTool
from crewai.utilities.pydantic_schema_utils import create_model_from_schema
from openai import OpenAI
from pydantic import BaseModel, PrivateAttr

from teams.runtime.gateway_client import Gateway, ModelSettings
from teams.runtime.members import Desk, open_desk
from teams.runtime.plan import AgentMaker, Piece, Plan
from teams.runtime.prompts import answer_piece, lead_expected, lead_text, piece_text, pieces_before_answer
from teams.runtime.toolbox import TeamTool
from teams.runtime.work import Resources, Run, RunResult

# The SDK loads these at the first call: 0.3 s in every forked team, unless they are here before the fork.
importlib.import_module("openai.resources")

#: Model calls a member may make for one task.
MAX_ROUNDS = 12
#: Tokens. CrewAI knows no window for the gateway's model names and would assume 8,192, and summarise, with extra calls.
CONTEXT_WINDOW = 120_000
#: A tool may be another team at work.
TOOL_TIMEOUT = 660.0

# It warns at every call that it estimates tokens by length; the gateway counts them.
logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)


class GatewayModel(OpenAICompletion):
    """CrewAI's native OpenAI client at the gateway, on the team's shared connections and without retries of its own."""

    _http: Any = PrivateAttr(default=None)

    @classmethod
    def at(cls, gateway: Gateway, settings: ModelSettings) -> GatewayModel:
        model = cls(
            model=settings.model,
            provider="openai",
            base_url=settings.base_url,
            api_key=settings.api_key,
            default_headers=settings.headers,
            max_retries=0,
        )
        model._http = gateway.sync_http
        return model

    def get_context_window_size(self) -> int:
        return CONTEXT_WINDOW

    def _build_sync_client(self) -> OpenAI | None:
        # While it is being constructed the connections are not known yet; the client is built at the first call then.
        return None if self._http is None else OpenAI(**self._get_client_params(), http_client=self._http)

    def _build_async_client(self) -> None:
        """Runs work in threads; a client that nobody uses would cost a TLS context (18 ms)."""


class CrewTool(BaseTool):
    """A team tool for CrewAI, which calls it from a thread: the work happens on the process's event loop."""

    _call: Callable[[Mapping[str, Any]], str] = PrivateAttr()

    @classmethod
    def of(cls, tool: TeamTool, loop: asyncio.AbstractEventLoop) -> CrewTool:
        def call(arguments: Mapping[str, Any]) -> str:
            return asyncio.run_coroutine_threadsafe(_awaited(tool, arguments), loop).result(TOOL_TIMEOUT)

        schema: type[BaseModel] = create_model_from_schema({"title": tool.name, **tool.schema})
        made = cls(name=tool.name, description=tool.description, args_schema=schema)
        made._call = call
        return made

    def _run(self, **arguments: Any) -> str:
        return self._call({name: value for name, value in arguments.items() if value is not None})


async def _awaited(tool: TeamTool, arguments: Mapping[str, Any]) -> str:
    return await tool.call(arguments)


class TeamAgent(Agent):
    """A CrewAI agent whose work is heard in the team's conversation, whoever gave it: the crew or a delegating manager."""

    _listener: Listener = PrivateAttr()

    def tell(self, listener: Listener) -> None:
        self._listener = listener

    def execute_task(self, task: Task, context: str | None = None, tools: list[BaseTool] | None = None) -> Any:
        self._listener.asked(task)
        result = super().execute_task(task, context, tools)
        self._listener.answered(str(result))
        return result


class Listener:
    """Writes one member's part of a run's conversation. The manager is asked by the sender, the others by the manager."""

    def __init__(self, plan: Plan, desk: Desk, member: str) -> None:
        self._desk = desk
        self._member = member
        self._leads = member == plan.manager
        self._other = desk.run.requester if self._leads else plan.manager
        self._pieces = {piece.name: piece.description for piece in pieces_before_answer(plan)}

    def asked(self, task: Task) -> None:
        if not self._leads:
            self._desk.say(self._other, self._member, self._pieces.get(task.name or "", task.description))

    def answered(self, text: str) -> None:
        self._desk.say(self._member, self._other, text)


class CrewMaker:
    """Makes a run's agents."""

    def __init__(self, resources: Resources, plan: Plan, desk: Desk) -> None:
        self._resources = resources
        self._plan = plan
        self._desk = desk
        self._loop = asyncio.get_running_loop()

    def agent(
        self, *, name: str, role: str, goal: str, backstory: str, model: str, tools: tuple[str, ...]
    ) -> TeamAgent:
        leads = name == self._plan.manager
        agent = TeamAgent(
            role=role,
            goal=goal,
            backstory=backstory,
            llm=GatewayModel.at(self._resources.gateway, self._desk.model(name, model)),
            tools=[CrewTool.of(tool, self._loop) for tool in self._desk.tools(name, tools)],
            allow_delegation=leads and self._plan.process == "hierarchical",
            max_iter=MAX_ROUNDS,
            max_retry_limit=0,
            verbose=False,
        )
        agent.tell(Listener(self._plan, self._desk, name))
        return agent


class CrewTeam:
    """A `TeamWorker`. Agents, tasks and crew are made anew for each run, so that runs share nothing."""

    def __init__(
        self, resources: Resources, plan: Plan, agents: Mapping[str, Callable[[AgentMaker[Agent]], Agent]]
    ) -> None:
        self._resources = resources
        self._plan = plan
        self._agents = agents

    async def handle(self, run: Run) -> RunResult:
        desk, toolbox = await open_desk(self._resources, self._plan, run)
        maker = CrewMaker(self._resources, self._plan, desk)
        agents = {name: make(maker) for name, make in self._agents.items()}
        desk.say(run.requester, self._plan.manager, run.text)
        tasks = led_tasks if self._plan.process == "hierarchical" else sequential_tasks
        crew = Crew(
            agents=list(agents.values()),
            tasks=tasks(self._plan, agents, run),
            process=Process.sequential,
            memory=False,
            cache=False,
            tracing=False,
            verbose=False,
        )
        output = await asyncio.to_thread(crew.kickoff)
        return toolbox.result(str(output))


def sequential_tasks(plan: Plan, agents: Mapping[str, Agent], run: Run) -> list[Task]:
    """The pieces of work in their order, the skeptic's review if there is one, the manager's answer. Each sees those before."""
    tasks: list[Task] = []
    for piece in (*pieces_before_answer(plan), answer_piece(plan)):
        tasks.append(_task(piece, agents[piece.member], run, list(tasks), leads=piece.member == plan.manager))
    return tasks


def led_tasks(plan: Plan, agents: Mapping[str, Agent], run: Run) -> list[Task]:
    """One task, the manager's, who may delegate. (CrewAI's own hierarchical process would take the manager's tools away.)"""
    return [
        Task(
            description=lead_text(plan.work, run),
            expected_output=lead_expected(plan.work),
            agent=agents[plan.manager],
        )
    ]


def _task(piece: Piece, agent: Agent, run: Run, before: list[Task], *, leads: bool) -> Task:
    return Task(
        name=piece.name,
        description=piece_text(piece, run, leads=leads),
        expected_output=piece.expected_output,
        agent=agent,
        context=before,
    )
