"""What a team's stream says, event by event, and the answer that it adds up to. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from memory.messages import MAX_ID

KINDS = ("task", "message", "statusUpdate", "artifactUpdate")
ENDED = frozenset(f"TASK_STATE_{name}" for name in ("COMPLETED", "FAILED", "CANCELED", "REJECTED"))
#: Whoever asks must say something first: the stream of a message ends here, that of a subscription does not.
WAITING = frozenset({"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"})


class StreamedAnswer:
    """The task, or the message, that the events of one stream add up to."""

    def __init__(self) -> None:
        self._task: dict[str, Any] = {}
        self._message: dict[str, Any] | None = None

    @property
    def task(self) -> str | None:
        return self._task.get("id")

    @property
    def context(self) -> str | None:
        return self._task.get("contextId")

    @property
    def state(self) -> str:
        """The task's state as A2A writes it; empty before the first."""
        status = self._task.get("status")
        return str(status.get("state", "")) if isinstance(status, dict) else ""

    @property
    def over(self) -> bool:
        """Nothing can come after this."""
        return self._message is not None or self.state in ENDED

    def result(self) -> dict[str, Any]:
        """As if it had been asked for without a stream: SendMessage's result."""
        return {"task": self._task} if self._message is None else {"message": self._message}

    def take(self, event: object) -> dict[str, Any]:
        """Adds an event and gives it back, without what does not belong. `ValueError` if it is none, or another task's."""
        given = cast("dict[str, Any]", event) if isinstance(event, dict) else {}
        kind = next((kind for kind in KINDS if isinstance(given.get(kind), dict)), None)
        if kind is None:
            raise ValueError("an event that is neither a task nor a message nor an update of one")
        said: dict[str, Any] = given[kind]
        if kind == "message":
            self._message = said
            return {kind: said}
        task, context = said.get("id" if kind == "task" else "taskId"), said.get("contextId")
        if not isinstance(task, str) or not 0 < len(task) <= MAX_ID or self.task not in (None, task):
            raise ValueError("an event of another task")
        if kind == "task":
            self._task = dict(said)
        else:
            self._task |= {"id": task} | ({"contextId": context} if isinstance(context, str) else {})
            self._update(kind, said)
        return {kind: said}

    def _update(self, kind: str, said: Mapping[str, Any]) -> None:
        if kind == "statusUpdate":
            self._task["status"] = said.get("status", {})
            return
        artifact = said.get("artifact")
        piece = cast("dict[str, Any]", artifact) if isinstance(artifact, dict) else {}
        if not piece:
            raise ValueError("an update of an artifact without the artifact")
        known: list[dict[str, Any]] = list(self._task.get("artifacts", []))
        same = [one for one in known if one.get("artifactId") == piece.get("artifactId")]
        if said.get("append") and same:
            whole = same[0] | {"parts": [*same[0].get("parts", []), *piece.get("parts", [])]}
            self._task["artifacts"] = [whole if one is same[0] else one for one in known]
        else:
            self._task["artifacts"] = [*(one for one in known if one not in same), piece]
