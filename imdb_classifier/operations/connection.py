"""Connections to the Prefect server that is configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL

from imdb_classifier.errors import ConfigurationError
from imdb_classifier.tasks.calls import asking_the_server


def server_address() -> str | None:
    """Return the address of the configured Prefect server; None if there is none."""
    address: str | None = PREFECT_API_URL.value()
    return address


@contextmanager
def prefect_server() -> Iterator[SyncPrefectClient]:
    """Provide a client of the configured server.

    Raises:
        ConfigurationError: No server is configured.
        UnavailableError: The server does not answer, or refuses a request.
    """
    address = server_address()
    if address is None:
        # Prefect would start a temporary server.
        raise ConfigurationError(
            "This command needs a Prefect server.",
            "PREFECT_API_URL is not set.",
            "Run: prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
    with asking_the_server(address), get_client(sync_client=True) as client:
        yield client
