"""What a flow run shows the server: events, log lines, name, tags, and the output it writes to.

As with artifacts, failures do not fail the run.

Importing this module sends the lines that the library logs in a run to that run's log.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import emit_event
from prefect.logging.handlers import APILogHandler
from prefect.runtime import deployment, flow_run

from imdb_classifier.errors import OutputInUseError

PREFIX: Final = "imdb-classifier"
_CLAIM: Final = "output:"
"""What the tag begins with by which a run claims an output."""
CLAIM_ATTEMPTS: Final = 3
CLAIM_PAUSE_SECONDS: Final = (1.0, 10.0)
"""Shortest and longest pause between them; at random, so that of two runs that begin together, one
gets the output."""
_ALIVE: Final = timedelta(minutes=10)
"""Time from its last heartbeat until a run counts as dead; heartbeats come every three minutes."""


def emit(event: str, kind: str, name: str, model_id: str, payload: Mapping[str, Any]) -> None:
    """Emit an event; Prefect adds the flow run and sends it in the background.

    Args:
        event: The event's name, such as ``model.promoted``.
        kind: The kind of resource: ``model`` or ``batch``.
        name: The name of the resource.
        model_id: The id of the related model.
        payload: Plain values: figures and names, no review text.
    """
    model = f"{PREFIX}.model.{model_id}"
    resource = {
        "prefect.resource.id": f"{PREFIX}.{kind}.{name}",
        "prefect.resource.name": name,
    }
    related = [{"prefect.resource.id": model, "prefect.resource.role": "model"}]
    try:
        emit_event(f"{PREFIX}.{event}", resource, related=related, payload=dict(payload))
    except Exception as error:
        get_run_logger().warning(
            "Event %s was not sent (%s); the run continues.", event, type(error).__name__
        )


def deployment_name() -> str:
    """Return the name of the run's deployment; an empty string if there is none, or no answer."""
    return _known("deployment", lambda: deployment.name)


def requested_by() -> dict[str, str]:
    """Return flow, flow run and deployment, if any, for the records of the registry."""
    found = {
        "flow": _known("flow", lambda: flow_run.flow_name),
        "flow_run": _known("flow run", lambda: flow_run.id),
        "deployment": deployment_name(),
    }
    return {name: value for name, value in found.items() if value}


def _known(what: str, ask: Callable[[], str | None]) -> str:
    try:
        return ask() or ""
    except Exception as error:
        get_run_logger().warning(
            "The name of the %s was not found (%s); the run continues.", what, type(error).__name__
        )
        return ""


def name_run(what: str, model_id: str) -> None:
    """Put the model's id into the name and tags of the current flow run.

    Args:
        what: What the run does; its first word becomes a tag.
        model_id: The model's id, which becomes a tag, too.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    tags = {*run.tags, what.split()[0], model_id}
    try:
        client = get_client(sync_client=True)
        client.update_flow_run(run.id, name=f"{what} {model_id}", tags=tags)
    except Exception as error:
        get_run_logger().warning(
            "The run was not renamed (%s); it continues.", type(error).__name__
        )


def claim(output: str) -> None:
    """Check that no other flow run of the server writes to an output, around it or inside it.

    For object stores, which have no locks. The current run is tagged with the output, and other
    runs find it by that tag until it ends.

    Args:
        output: The URI of a file or folder, without a slash at its end.

    Raises:
        OutputInUseError: Another run is writing to the output, or to one that overlaps with it.
    """
    run = UUID(flow_run.id)
    try:
        client = get_client(sync_client=True)
        tags = {*client.read_flow_run(run).tags}
        for attempts_left in reversed(range(CLAIM_ATTEMPTS)):
            # Tagged before it looks: of two runs, at least one sees the other.
            client.update_flow_run(run, tags={*tags, f"{_CLAIM}{output}"})
            place = _claimed(client, output, run)
            if place is None:
                return
            client.update_flow_run(run, tags=tags)
            if not attempts_left:
                raise OutputInUseError(output, place)
            time.sleep(random.uniform(*CLAIM_PAUSE_SECONDS))
    except OutputInUseError:
        raise
    except Exception as error:
        get_run_logger().warning(
            "It is unknown whether another run is writing to the output (%s); the run continues.",
            type(error).__name__,
        )


def _claimed(client: SyncPrefectClient, output: str, run: UUID) -> str | None:
    """Return the output of another run that is alive, if it overlaps with this one."""
    for other in _other_runs(client, run):
        for tag in other.tags:
            place = tag.removeprefix(_CLAIM)
            if place != tag and _overlap(place, output) and _is_alive(client, other):
                return place
    return None


def _other_runs(client: SyncPrefectClient, run: UUID) -> Iterator[FlowRun]:
    """Yield the other runs that have begun and not ended, however many the server has."""
    states = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])
    others = FlowRunFilter(
        id=FlowRunFilterId(not_any_=[run]), state=FlowRunFilterState(type=states)
    )
    seen = 0
    while page := client.read_flow_runs(flow_run_filter=others, offset=seen):
        yield from page
        seen += len(page)


def _overlap(one: str, other: str) -> bool:
    """Return whether two places are the same, or one is inside the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _is_alive(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether a run has begun, or sent a heartbeat, in the last minutes."""
    since = datetime.now(UTC) - _ALIVE
    if run.start_time and run.start_time > since:
        return True
    heartbeats = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{run.id}"]},
        "occurred": {"since": since.isoformat()},
    }
    answer = client.request("POST", "/events/filter", json={"filter": heartbeats})
    return bool(answer.json()["events"])


class _RunLog(APILogHandler):
    """Sends log lines to the log of the current run, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


def _log_to_runs() -> None:
    logger = logging.getLogger("imdb_classifier")
    logger.addHandler(_RunLog())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


_log_to_runs()
