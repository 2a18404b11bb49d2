"""The team as other teams meet it: an A2A agent with a card, whose tasks end in one artifact of text and data."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from a2a.helpers.proto_helpers import (
    get_data_parts,
    get_text_parts,
    new_data_part,
    new_task_from_user_message,
    new_text_message,
    new_text_part,
)
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.agent_execution.context import RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.tasks.inmemory_task_store import InMemoryTaskStore
from a2a.server.tasks.task_store import TaskStore
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    CancelTaskRequest,
    Message,
    TaskState,
)
from a2a.types.a2a_pb2 import Task as A2ATask
from a2a.utils.errors import InvalidParamsError, TaskNotCancelableError
from google.protobuf.json_format import MessageToDict
from pydantic import ValidationError

from teams.messages import Envelope, MessageRefused, TaskAssignment, first_fault, parse_envelope
from teams.runtime.work import Run, RunResult
from teams.spec import TeamSpec

log = logging.getLogger(__name__)

#: How the gateway says for whom it speaks. Only believed together with the inbound token.
CALLER_HEADER = "x-elf-caller"
KEPT_TASKS = 200
#: How long a task that waits for its sender is held ready; after that the next message finds it in the store.
WAITING_SECONDS = 900.0

_STATES = {
    "completed": TaskState.TASK_STATE_COMPLETED,
    "input_required": TaskState.TASK_STATE_INPUT_REQUIRED,
    "failed": TaskState.TASK_STATE_FAILED,
    "rejected": TaskState.TASK_STATE_REJECTED,
}

Handle = Callable[[Run], Awaitable[RunResult]]


def agent_card(spec: TeamSpec, url: str, version: str) -> AgentCard:
    """What the team says of itself to other teams; `url` is its A2A endpoint at the gateway."""
    tags = list(spec.skills) or [spec.department]
    return AgentCard(
        name=spec.name,
        description=f"{spec.purpose}\n{spec.description}",
        version=version,
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False),
        default_input_modes=["text/plain", "application/json"],
        default_output_modes=["text/plain", "application/json"],
        skills=[
            AgentSkill(id=piece.name, name=piece.name, description=piece.description, tags=tags) for piece in spec.work
        ],
    )


class TeamExecutor(AgentExecutor):
    """Turns an A2A message into a run and its result into the task's artifact."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message = context.message
        if message is None:
            raise InvalidParamsError(message="the request carries no message")
        task = context.current_task or new_task_from_user_message(message)
        if context.current_task is None:
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        try:
            run = read_run(message, task.id, caller_of(context.call_context))
        except MessageRefused as error:
            await updater.reject(new_text_message(str(error), task_id=task.id, context_id=task.context_id))
            return
        await updater.start_work()
        result = await self._handle(run)
        await updater.add_artifact([new_text_part(result.text), new_data_part(result.to_data())], name="answer")
        await updater.update_status(_STATES[result.state])

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Only what waits for its sender gets here (see `TeamRequests`)."""
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


class TeamRequests(DefaultRequestHandlerV2):
    """The SDK's handler for a team. It has an end, which the server's own end must call: `aclose`."""

    def __init__(self, executor: AgentExecutor, store: TaskStore, card: AgentCard) -> None:
        self._store = store
        super().__init__(executor, store, card, validate_input_modes=True, interrupted_task_timeout=WAITING_SECONDS)

    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> A2ATask | None:
        """Refused before the SDK stops the work: half of it may be done, and nobody would know which half."""
        task = await self._store.get(params.id, context)
        if task is not None and task.status.state != TaskState.TASK_STATE_INPUT_REQUIRED:
            raise TaskNotCancelableError(message="a team's work cannot be called back once it has begun")
        return await super().on_cancel_task(params, context)


def caller_of(context: ServerCallContext) -> str:
    headers = context.state.get("headers", {})
    return str(headers.get(CALLER_HEADER, "unknown"))


def read_run(message: Message, task_id: str, caller: str) -> Run:
    """The run a message asks for: its data part's, or a plain task for a message that is only text. `MessageRefused` else."""
    data = get_data_parts(message.parts)
    if data:
        return Run(task_id, parse_envelope(data[0]), caller)
    text = "\n".join(get_text_parts(message.parts))
    return plain_run(text, task_id, caller, _correlation(message))


def plain_run(text: str, task_id: str, caller: str, correlation_id: str | None = None) -> Run:
    """A task given as bare text."""
    try:
        envelope = Envelope(kind="task", correlation_id=correlation_id or task_id, payload=TaskAssignment(text=text))
    except ValidationError as error:
        raise MessageRefused(f"The task is refused: {first_fault(error)}.") from error
    return Run(task_id, envelope, caller)


def _correlation(message: Message) -> str | None:
    """What the gateway booked a message without an envelope under."""
    stamp = MessageToDict(message.metadata).get("elf", {})
    found = stamp.get("correlationId") if isinstance(stamp, dict) else None
    return found if isinstance(found, str) else None


class RecentTasks(InMemoryTaskStore):
    """The SDK's store with an end: it keeps the last `KEPT_TASKS` and forgets older ones."""

    def __init__(self, kept: int = KEPT_TASKS) -> None:
        super().__init__()
        self._kept = kept
        self._order: OrderedDict[str, ServerCallContext] = OrderedDict()

    async def save(self, task: A2ATask, context: ServerCallContext) -> None:
        await super().save(task, context)
        self._order[task.id] = context
        while len(self._order) > self._kept:
            oldest, whose = self._order.popitem(last=False)
            await self.delete(oldest, whose)
