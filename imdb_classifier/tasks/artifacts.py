"""Artifacts of a run, which may fail without failing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

PROGRESS_SECONDS: Final = 2.0
"""The least time between two updates of a progress artifact."""
CALL_RETRIES: Final = 2
"""Of a call to the server, some seconds in all; with Prefect's own five, each call that cannot
succeed would hold up the scoring for more than a minute."""
QUIET_SECONDS: Final = 300
"""How long no progress is shown after an update that failed, for the same reason."""


def publish(what: str, call: Callable[..., Any], **content: Any) -> UUID | None:
    """Create or update an artifact; a failure is one warning, and the run goes on.

    Args:
        what: What it shows, to begin the warning with.
        call: One of Prefect's functions for artifacts.
        **content: Its arguments.

    Returns:
        The artifact's id, or None where it was not published.
    """
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: CALL_RETRIES}):
            # Prefect would hand a coroutine to whoever calls a task from an asynchronous flow.
            published: UUID = call(**content, _sync=True)
            return published
    except Exception as error:
        get_run_logger().warning(
            "%s was not published (%s); the run goes on without it.", what, type(error).__name__
        )
        return None


class Progress:
    """A progress artifact of the run that made it; it may fail without failing the run."""

    _quiet_until: ClassVar[float] = 0.0

    def __init__(self, artifact: str | None, total: int, what: str) -> None:
        self.artifact = artifact
        self._total = total
        self._what = what
        self._next_update = 0.0

    @classmethod
    def start(cls, total: int, what: str) -> Progress:
        """Make the artifact, at nothing done of `total`."""
        # Without a key: under one key, runs side by side would move each other's bar.
        created = publish(
            "The progress",
            create_progress_artifact,
            progress=0.0,
            description=f"0 of {total:,} {what}",
        )
        return cls(None if created is None else str(created), total, what)

    def show(self, done: int, more: str = "") -> None:
        """Show how much is done by now, unless an update went out moments ago.

        Args:
            done: Of the total.
            more: To be said as well.
        """
        now = time.monotonic()
        if self.artifact is None or now < Progress._quiet_until:
            return
        if now < self._next_update and done < self._total:
            return
        self._next_update = now + PROGRESS_SECONDS
        updated = publish(
            "The progress",
            update_progress_artifact,
            artifact_id=UUID(self.artifact),
            progress=100.0 * min(done / max(self._total, 1), 1.0),
            description=f"{done:,} of {self._total:,} {self._what}{more}",
        )
        if updated is None:
            Progress._quiet_until = time.monotonic() + QUIET_SECONDS
