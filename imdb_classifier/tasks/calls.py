"""Flows called from a program."""

from __future__ import annotations

import signal
import sys
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)


def call_flow(flow: Flow[..., State[Any]], **parameters: Any) -> State[Any]:
    """Run a flow in this process and give the state in which it ended, whatever that is.

    For the main thread of a program: SIGTERM ends the program as ``sys.exit`` does.
    """
    # Without a server of one's own, Prefect starts one. Its first start sets up a database, which
    # can take longer than the 20 seconds that Prefect allows by itself.
    patience = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 180}
    # Prefect passes the signal on once the run has ended. By default it would end the process at
    # once, and leave that server behind.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with temporary_settings(set_defaults=patience):
            return flow(**parameters, return_state=True)
    finally:
        signal.signal(signal.SIGTERM, before)
