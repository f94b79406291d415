"""Automations of a Prefect server, created once and updated from then on."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_UI_URL

from imdb_classifier.operations.configured import configured_automations
from imdb_classifier.operations.connection import prefect_server

WEBHOOK_NAME: Final = "imdb-classifier-notifications"
"""Name of the block that holds the address of notifications."""
_PARTS: Final = ("description", "trigger", "actions")
"""What an update can change."""


def automate(notify: str | None = None) -> list[dict[str, str]]:
    """Create or update the automations of ``automations.yaml``.

    Args:
        notify: Address that notifications are sent to; None for the one given before. While there
            is none, automations that notify are left out.

    Returns:
        name and change (``created``, ``updated`` or ``unchanged``) of each automation.

    Raises:
        ConfigurationError: No server is configured.
        UnavailableError: The server cannot be reached.
    """
    with prefect_server() as client:
        if notify is not None:
            values = {"url": notify, "headers": {"Content-Type": "application/json"}}
            Webhook.model_validate(values).save(WEBHOOK_NAME, overwrite=True)
        block = webhook_block(client)
        automations = [
            AutomationCore.model_validate(_completed(entry, block))
            for entry in configured_automations()
            if block is not None or not _notifies(entry)
        ]
        return [
            {"name": automation.name, "change": _apply(client, automation)}
            for automation in automations
        ]


def webhook_block(client: SyncPrefectClient) -> UUID | None:
    """Return the id of the block that holds the address of notifications, if there is one."""
    try:
        return client.read_block_document_by_name(WEBHOOK_NAME, "webhook").id
    except ObjectNotFound:
        return None


def _notifies(entry: dict[str, Any]) -> bool:
    return any(action["type"] == "call-webhook" for action in entry["actions"])


def _completed(entry: dict[str, Any], block: UUID | None) -> dict[str, Any]:
    """Return an automation with what depends on the server: the block, and the UI's address."""
    actions = [
        {
            **action,
            "block_document_id": block,
            # Here, because a server does not always know its own address.
            "payload": action["payload"].replace("PREFECT_UI_URL", PREFECT_UI_URL.value()),
        }
        if action["type"] == "call-webhook"
        else action
        for action in entry["actions"]
    ]
    return {**entry, "actions": actions}


def _apply(client: SyncPrefectClient, automation: AutomationCore) -> str:
    found = client.read_automations_by_name(automation.name)
    if not found:
        client.create_automation(automation)
        return "created"
    first, *doubles = found
    for double in doubles:
        client.delete_automation(double.id)
    # An update forgets the runs that are being watched.
    if all(getattr(first, part) == getattr(automation, part) for part in _PARTS):
        return "unchanged"
    # Not replaced, so that one that was switched off stays off.
    client.update_automation(first.id, automation)
    return "updated"
