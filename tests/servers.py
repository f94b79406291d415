"""Servers that tests start on this machine."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.waiting import wait_for


@contextmanager
def serving(what: str, command: Callable[[int], Sequence[str]]) -> Iterator[str]:
    """Run a server on a free port until the end of the block.

    Args:
        what: What it is, for the message if it does not answer.
        command: Returns the command that starts it on a port of 127.0.0.1.

    Yields:
        Its host and port.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    quiet = subprocess.DEVNULL
    with subprocess.Popen(command(port), stdout=quiet, stderr=quiet) as server:
        try:
            wait_for(f"answer of {what}", answers, server)
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()
