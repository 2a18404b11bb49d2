"""What members work with in one run, the same for both frameworks."""

from __future__ import annotations

import asyncio

from teams.runtime.gateway_client import ModelSettings
from teams.runtime.plan import Plan
from teams.runtime.toolbox import TeamTool, Toolbox
from teams.runtime.work import Resources, Run


class Desk:
    """Hands each member its model and its tools, and keeps what the run did."""

    def __init__(self, resources: Resources, plan: Plan, run: Run, tools: dict[str, list[TeamTool]]) -> None:
        self._resources = resources
        self._plan = plan
        self._tools = tools
        self.run = run

    def model(self, member: str, model: str) -> ModelSettings:
        purpose = self._plan.purpose(member)
        return self._resources.gateway.model_settings(member, model, purpose=purpose, run_id=self.run.correlation_id)

    def tools(self, member: str, names: tuple[str, ...]) -> list[TeamTool]:
        """The named tools, and what a manager has by being one."""
        return [tool for tool in self._tools[member] if tool.name in names or "__" not in tool.name]

    def say(self, speaker: str, listener: str, text: str) -> None:
        self._resources.conversation.say(task=self.run.id, speaker=speaker, listener=listener, text=text)


async def open_desk(resources: Resources, plan: Plan, run: Run) -> tuple[Desk, Toolbox]:
    """A desk with every member's tools: its MCP tools, and for the manager, only the manager, the way to other teams."""
    spec = resources.spec
    toolbox = Toolbox(resources.gateway, resources.conversation, spec.name, run)
    granted = await asyncio.gather(*(resources.catalogue.granted(member.name, member.tools) for member in spec.members))
    tools = {
        member.name: toolbox.mcp_tools(member.name, found) for member, found in zip(spec.members, granted, strict=True)
    }
    tools[plan.manager] += toolbox.manager_tools(plan.manager)
    return Desk(resources, plan, run, tools), toolbox
