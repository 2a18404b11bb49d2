"""Teams made with LangGraph: a node for each piece of work, then the skeptic, then the manager's answer."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import SecretStr

from teams.runtime.members import Desk, open_desk
from teams.runtime.plan import AgentMaker, Piece, Plan
from teams.runtime.prompts import (
    answer_piece,
    lead_expected,
    lead_text,
    piece_text,
    pieces_before_answer,
    system_text,
    task_text,
)
from teams.runtime.toolbox import TeamTool
from teams.runtime.work import Resources, Run, RunResult

# The SDK loads these at the first call: 0.3 s in every forked team, unless they are here before the fork.
importlib.import_module("openai.resources")

#: Rounds of tool calls before a member must answer with what it has.
MAX_ROUNDS = 12


@dataclass(frozen=True)
class GraphAgent:
    """A member of a LangGraph team: who it is, its model and its tools."""

    name: str
    role: str
    system: str
    model: ChatOpenAI
    tools: Mapping[str, TeamTool]

    async def work(self, description: str, expected_output: str, context: str) -> str:
        """Works until the model answers without calling a tool, at most `MAX_ROUNDS` rounds."""
        text = task_text(description, expected_output, context)
        messages: list[BaseMessage] = [SystemMessage(self.system), HumanMessage(text)]
        schemas = [_openai_tool(tool) for tool in self.tools.values()]
        with_tools = self.model.bind_tools(schemas) if schemas else self.model
        for _ in range(MAX_ROUNDS):
            said = await with_tools.ainvoke(messages)
            if not said.tool_calls:
                return said.text
            messages.append(said)
            for call in said.tool_calls:
                messages.append(ToolMessage(await self._use(call["name"], call["args"]), tool_call_id=call["id"] or ""))
        messages.append(HumanMessage("No more tool calls are possible. Answer now with what you have."))
        return (await self.model.ainvoke(messages)).text

    async def _use(self, name: str, arguments: Mapping[str, Any]) -> str:
        if tool := self.tools.get(name):
            return await tool.call(arguments)
        return f"Error: there is no tool named {name}; there are {', '.join(self.tools) or 'none'}"


class GraphMaker:
    """Makes a run's agents."""

    def __init__(self, resources: Resources, desk: Desk) -> None:
        self._gateway = resources.gateway
        self._desk = desk

    def agent(
        self, *, name: str, role: str, goal: str, backstory: str, model: str, tools: tuple[str, ...]
    ) -> GraphAgent:
        settings = self._desk.model(name, model)
        chat = ChatOpenAI(
            model=settings.model,
            base_url=settings.base_url,
            api_key=SecretStr(settings.api_key),
            default_headers=settings.headers,
            http_async_client=self._gateway.http,
            http_client=self._gateway.sync_http,
            max_retries=0,
        )
        granted = {tool.name: tool for tool in self._desk.tools(name, tools)}
        return GraphAgent(name, role, system_text(role, goal, backstory), chat, granted)


class State(TypedDict):
    """Grows by one finished piece of work a node."""

    done: Annotated[list[str], operator.add]
    answer: str


class GraphTeam:
    """A `TeamWorker`. Agents and graph are made anew for each run, so that runs share nothing."""

    def __init__(
        self, resources: Resources, plan: Plan, agents: Mapping[str, Callable[[AgentMaker[GraphAgent]], GraphAgent]]
    ) -> None:
        self._resources = resources
        self._plan = plan
        self._agents = agents

    async def handle(self, run: Run) -> RunResult:
        desk, toolbox = await open_desk(self._resources, self._plan, run)
        maker = GraphMaker(self._resources, desk)
        agents = {name: make(maker) for name, make in self._agents.items()}
        desk.say(run.requester, self._plan.manager, run.text)
        graph = led_graph if self._plan.process == "hierarchical" else sequential_graph
        ended = await graph(self._plan, agents, desk).ainvoke({"done": [], "answer": ""})
        desk.say(self._plan.manager, run.requester, ended["answer"])
        return toolbox.result(ended["answer"])


Graph = CompiledStateGraph[State, None, State, State]


def sequential_graph(plan: Plan, agents: Mapping[str, GraphAgent], desk: Desk) -> Graph:
    """The pieces of work in their order, the skeptic's review if there is one, the manager's answer."""

    def worker(piece: Piece) -> Any:
        async def node(state: State) -> dict[str, list[str]]:
            desk.say(plan.manager, piece.member, piece.description)
            context = "\n\n".join(state["done"])
            told = piece_text(piece, desk.run, leads=piece.member == plan.manager)
            text = await agents[piece.member].work(told, piece.expected_output, context)
            desk.say(piece.member, plan.manager, text)
            return {"done": [f"{piece.name} by {piece.member}:\n{text}"]}

        return node

    async def answer(state: State) -> dict[str, str]:
        piece = answer_piece(plan)
        context = "\n\n".join(state["done"])
        told = piece_text(piece, desk.run, leads=True)
        return {"answer": await agents[plan.manager].work(told, piece.expected_output, context)}

    graph: StateGraph[State, None, State, State] = StateGraph(State)
    previous = START
    for number, piece in enumerate(pieces_before_answer(plan), 1):
        node = f"{number}-{piece.name}"
        graph.add_node(node, worker(piece))
        graph.add_edge(previous, node)
        previous = node
    graph.add_node("answer", answer)
    graph.add_edge(previous, "answer")
    graph.add_edge("answer", END)
    return graph.compile()


def led_graph(plan: Plan, agents: Mapping[str, GraphAgent], desk: Desk) -> Graph:
    """One node: the manager, who may hand work to colleagues."""
    manager = agents[plan.manager]
    colleagues = {name: agent for name, agent in agents.items() if name != plan.manager}
    delegate = delegation_tool(plan.manager, colleagues, desk)
    lead = GraphAgent(
        manager.name, manager.role, manager.system, manager.model, {**manager.tools, delegate.name: delegate}
    )

    async def answer(state: State) -> dict[str, str]:  # noqa: ARG001 (the graph passes it)
        return {"answer": await lead.work(lead_text(plan.work, desk.run), lead_expected(plan.work), "")}

    graph: StateGraph[State, None, State, State] = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile()


def delegation_tool(manager: str, colleagues: Mapping[str, GraphAgent], desk: Desk) -> TeamTool:
    """Named and shaped as CrewAI's own, so that a manager sees the same tool in both frameworks."""
    by_role = {agent.role.casefold(): agent for agent in colleagues.values()}
    roles = "; ".join(agent.role for agent in colleagues.values())

    async def delegate(arguments: Mapping[str, Any]) -> str:
        asked = str(arguments.get("coworker", ""))
        agent = by_role.get(asked.casefold()) or colleagues.get(asked)
        task = str(arguments.get("task", ""))
        if agent is None or not task:
            return f"Error: give a task and a coworker, one of: {roles}"
        desk.say(manager, agent.name, task)
        text = await agent.work(
            task, "Your best answer to your coworker asking you this.", str(arguments.get("context", ""))
        )
        desk.say(agent.name, manager, text)
        return text

    texts = {"task": "The task to delegate", "context": "All the coworker must know", "coworker": "The coworker's role"}
    return TeamTool(
        name="delegate_work_to_coworker",
        description=f"Delegate a specific task to one of these coworkers: {roles}. They know nothing but what you tell them.",
        schema={
            "type": "object",
            "properties": {name: {"type": "string", "description": text} for name, text in texts.items()},
            "required": list(texts),
            "additionalProperties": False,
        },
        call=delegate,
    )


def _openai_tool(tool: TeamTool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}
