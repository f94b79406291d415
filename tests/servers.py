"""Servers that tests start on this machine."""

from __future__ import annotations

import random
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from tests.waiting import wait_for

_PORTS: Final = range(20_000, 32_768)
"""Those from 32,768 on are what Linux gives to connections, one of which may take a free port
before its server does."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        # Not what a test draws with a seed of its own, which others draw, too.
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


@contextmanager
def serving(what: str, command: Callable[[int], Sequence[str]]) -> Iterator[str]:
    """Run a server on a free port until the end of the block.

    Args:
        what: What it is, for the message if it does not answer.
        command: Returns the command that starts it on a port of 127.0.0.1.

    Yields:
        Its host and port.
    """
    port = free_port()

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
