"""Removal of what deploying, serving and `automate` put on a Prefect server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint

from imdb_classifier.operations.automations import WEBHOOK_NAME, webhook_block
from imdb_classifier.operations.configured import configured_automations, configured_deployments
from imdb_classifier.operations.connection import prefect_server


@dataclass(frozen=True)
class Deployed:
    """Something on a Prefect server that this package put there.

    Attributes:
        kind: What it is.
        name: Its name in the UI.
        id: Its id on the server.
    """

    kind: Literal["automation", "deployment", "block"]
    name: str
    id: UUID


def undeploy(*, dry_run: bool = False) -> list[Deployed]:
    """Remove deployments, automations and the notifications' block from the Prefect server.

    What has other names than in ``prefect.yaml`` and ``automations.yaml`` stays, as do flow runs
    and work pools. Schedules, limits and runs that have not begun go with their deployment.

    Args:
        dry_run: Only find what would be removed.

    Returns:
        What was removed; an empty list if there was nothing.

    Raises:
        ConfigurationError: No server is configured.
        UnavailableError: The server cannot be reached.
    """
    with prefect_server() as client:
        found = list(_found(client))
        if not dry_run:
            for deployed in found:
                _remove(client, deployed)
        return found


def _found(client: SyncPrefectClient) -> Iterator[Deployed]:
    """Yield what is on the server, in the order in which it can be removed."""
    deployments = configured_deployments()
    triggers = [trigger for entry in deployments for trigger in entry.get("triggers", [])]
    for automation in [*triggers, *configured_automations()]:
        for found in client.read_automations_by_name(automation["name"]):
            yield Deployed("automation", found.name, found.id)
    for entry in deployments:
        flow: Any = load_flow_from_entrypoint(entry["entrypoint"])
        name = f"{flow.name}/{entry['name']}"
        try:
            yield Deployed("deployment", name, client.read_deployment_by_name(name).id)
        except ObjectNotFound:
            continue
    if block := webhook_block(client):
        yield Deployed("block", WEBHOOK_NAME, block)


def _remove(client: SyncPrefectClient, deployed: Deployed) -> None:
    remove = {
        "automation": client.delete_automation,
        "deployment": client.delete_deployment,
        "block": client.delete_block_document,
    }
    remove[deployed.kind](deployed.id)
