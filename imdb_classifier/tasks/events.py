"""Events, log lines, name and tags of a flow run; as with artifacts, failures do not fail the run.

Importing this module sends the lines that the library logs in a run to that run's log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from prefect import get_client, get_run_logger
from prefect.context import FlowRunContext, TaskRunContext
from prefect.events import emit_event
from prefect.logging.handlers import APILogHandler
from prefect.runtime import deployment, flow_run

PREFIX: Final = "imdb-classifier"


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
