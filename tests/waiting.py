"""Waiting for what another process does, however long it takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 900
"""Even a slow and busy machine does everything faster than this."""


def wait_for(
    what: str, ask: Callable[[], T | None], process: subprocess.Popen[bytes] | None = None
) -> T:
    """Call `ask` until it returns something true, and return that.

    Args:
        what: What is waited for, for the message if it does not happen.
        ask: Returns the answer, or something false while there is none.
        process: The process that brings it about; waiting fails if it ends first.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        # Checked before asking, because the answer may be the last thing that the process does.
        ended = process is not None and process.poll() is not None
        if answer := ask():
            return answer
        assert not ended, f"the process ended before {what}"
        assert time.monotonic() < deadline, f"no {what} after {PATIENCE_SECONDS} s"
        time.sleep(0.25)
