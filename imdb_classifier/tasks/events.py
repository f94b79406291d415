"""What a run tells the rest of the world: events, and the run's own name and tags.

Like artifacts, they may fail without failing the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prefect import get_client, get_run_logger
from prefect.context import FlowRunContext
from prefect.events import emit_event

PREFIX: Final = "imdb-classifier"


def emit(event: str, kind: str, name: str, model_id: str, payload: Mapping[str, Any]) -> None:
    """Emit an event; Prefect adds the flow run to it, and sends it in the background.

    Args:
        event: Such as ``model.promoted``.
        kind: What it concerns: ``model`` or ``batch``.
        name: Which one.
        model_id: The model in it.
        payload: Plain values: figures and names, no text.
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
            "The event %s was not sent (%s); the run goes on.", event, type(error).__name__
        )


def name_run(what: str, model_id: str) -> None:
    """Say in the name and the tags of the flow run that this is called in which model it is about.

    Args:
        what: What the run does; its first word becomes a tag.
        model_id: The model, once it is known; another tag.
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
            "The run keeps its old name (%s) and goes on.", type(error).__name__
        )
