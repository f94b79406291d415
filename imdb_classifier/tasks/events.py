"""Events of a flow run, and its name and tags; as with artifacts, failures do not fail the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prefect import get_client, get_run_logger
from prefect.context import FlowRunContext
from prefect.events import emit_event

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
