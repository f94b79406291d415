"""How tests wait for what another process does: for the outcome, however long it takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 900
"""Only what will never happen takes that long, even on a slow and busy machine."""


def wait_for(
    what: str, ask: Callable[[], T | None], process: subprocess.Popen[bytes] | None = None
) -> T:
    """Ask again and again until there is an answer that is true, and return it.

    Args:
        what: What is waited for, for the message if it does not come.
        ask: Gives the answer, or something false while there is none.
        process: Whatever brings it about; there is no use in waiting once it has ended.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        # Looked at first, because the answer may be the last thing that the process brings about.
        ended = process is not None and process.poll() is not None
        if answer := ask():
            return answer
        assert not ended, f"the process ended before {what}"
        assert time.monotonic() < deadline, f"no {what} after {PATIENCE_SECONDS} s"
        time.sleep(0.25)
