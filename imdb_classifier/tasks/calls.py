"""Calls of flows from a program."""

from __future__ import annotations

import signal
import sys
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from imdb_classifier.tasks.runners import children_without_ctrl_c


def call_flow(flow: Flow[..., State[Any]], **parameters: Any) -> State[Any]:
    """Run a flow in this process and return its final state, even if the run failed.

    Call it in the main thread of a program: SIGTERM ends the program as ``sys.exit`` does.
    """
    # If no server is configured, Prefect starts a temporary one. Its first start creates a
    # database, which can take longer than the 20 seconds that Prefect allows by default.
    patience = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 180}
    # Prefect re-sends the signal after the run. By default, it would then kill the process and
    # leave the temporary server running.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with temporary_settings(set_defaults=patience):
            with children_without_ctrl_c():
                server = get_client(sync_client=True).api_url
            # Named, so that the processes of a pool use this server instead of starting their own.
            with temporary_settings({PREFECT_API_URL: str(server).rstrip("/")}):
                return flow(**parameters, return_state=True)
    finally:
        signal.signal(signal.SIGTERM, before)
