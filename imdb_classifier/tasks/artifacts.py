"""Artifacts of a run; a failure to publish one does not fail the run."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, ClassVar, Final
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.artifacts import update_progress_artifact
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from imdb_classifier.progress import Pace

PROGRESS_SECONDS: Final = 2.0
"""Minimum time between two updates of a progress artifact."""
CALL_RETRIES: Final = 2
"""Retries of a call to the server, which take a few seconds. With Prefect's default of five, each
call that cannot succeed would delay scoring by more than a minute."""
QUIET_SECONDS: Final = 300
"""Pause after a failed update of the progress, for the same reason."""
_KEY_CHARACTERS: Final = 100


def publish(what: str, call: Callable[..., Any], **content: Any) -> UUID | None:
    """Create or update an artifact; a failure logs a warning, and the run continues.

    Args:
        what: What the artifact shows, as the subject of the warning.
        call: One of Prefect's functions for artifacts.
        **content: Arguments of this function.

    Returns:
        The artifact's id, or None if it was not published.
    """
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: CALL_RETRIES}):
            # By default, Prefect returns a coroutine if an asynchronous flow calls the task.
            published: UUID = call(**content, _sync=True)
            return published
    except Exception as error:
        get_run_logger().warning(
            "%s was not published (%s); the run continues without it.", what, type(error).__name__
        )
        return None


def artifact_key(kind: str, output: str) -> str:
    """Return the key of an artifact, so that the UI shows the history of each output on its own.

    Args:
        kind: What the artifact shows, in lower case.
        output: The output or the deployment that it is about, or an empty string.
    """
    place = re.sub("[^a-z0-9]+", "-", output.lower())
    if not output.isascii():
        # Keys are ASCII: without this, names of another script would have one key.
        place += f"-{sha256(os.fsencode(output)).hexdigest()[:6]}"
    place = place.strip("-")[-_KEY_CHARACTERS:]
    return f"{kind}-{place.strip('-')}".strip("-")


class Progress:
    """A progress artifact of a flow run, which shows what is done, the rate, and the time left."""

    _quiet_until: ClassVar[float] = 0.0

    def __init__(self, artifact: str | None, total: int, what: str) -> None:
        self.artifact = artifact
        self._total = total
        self._what = what
        self._next_update = 0.0
        self._pace = Pace()

    @classmethod
    def start(cls, total: int, what: str) -> Progress:
        """Create the artifact, with 0 of `total` done."""
        # Without a key, because concurrent runs would overwrite each other's progress under it.
        created = publish(
            "The progress bar", _create_progress, description=f"0 of {total:,} {what}"
        )
        return cls(None if created is None else str(created), total, what)

    def show(self, done: int, more: str = "") -> None:
        """Update the artifact, at most once every `PROGRESS_SECONDS` until all is done.

        Args:
            done: How much of the total is done.
            more: Text to append to the description.
        """
        now = time.monotonic()
        pace = self._pace.words(done, self._total)
        if self.artifact is None or now < Progress._quiet_until:
            return
        if now < self._next_update and done < self._total:
            return
        self._next_update = now + PROGRESS_SECONDS
        updated = publish(
            "The progress bar",
            update_progress_artifact,
            artifact_id=UUID(self.artifact),
            progress=100.0 * min(done / max(self._total, 1), 1.0),
            description=f"{done:,} of {self._total:,} {self._what}{pace}{more}",
        )
        if updated is None:
            Progress._quiet_until = time.monotonic() + QUIET_SECONDS


class Stages:
    """Progress artifacts of a run, one for each stage; called as a `progress.Progress`."""

    def __init__(self) -> None:
        self._bars: dict[str, Progress] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that a stage proceeds.

        Args:
            what: What is counted, in the plural; identifies the stage.
            done: How many of them are done.
            total: How many there are.
        """
        if what not in self._bars:
            self._bars[what] = Progress.start(total, what)
        self._bars[what].show(done)


def _create_progress(description: str, *, _sync: bool) -> UUID:
    """Create a progress artifact of the flow run, where it is seen until the run ends.

    Prefect's own function attaches it to the task run.
    """
    artifact = ArtifactCreate(
        type="progress", flow_run_id=UUID(flow_run.id), description=description, data=0.0
    )
    return get_client(sync_client=True).create_artifact(artifact).id
