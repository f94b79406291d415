"""Calls of flows from a program."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from imdb_classifier.errors import CannotWriteError, UnavailableError, first_line
from imdb_classifier.storage import storage_of
from imdb_classifier.tasks.artifacts import CALL_RETRIES
from imdb_classifier.tasks.runners import children_without_ctrl_c


def call_flow(flow: Flow[..., State[Any]], **parameters: Any) -> State[Any]:
    """Run a flow in this process and return its final state, even if the run failed.

    Call it in the main thread of a program: SIGTERM ends the program as ``sys.exit`` does.

    Raises:
        UnavailableError: The configured server does not answer, or refuses a request.
        CannotWriteError: No server is configured, and Prefect's folder cannot be written.
    """
    if not PREFECT_API_URL.value():
        _check_home(str(PREFECT_HOME.value()))
    # If no server is configured, Prefect starts a temporary one. Its first start creates a
    # database, which can take longer than the 20 seconds that Prefect allows by default.
    patience = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 180}
    # Prefect re-sends the signal after the run. By default, it would then kill the process and
    # leave the temporary server running.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with temporary_settings(set_defaults=patience):
            with children_without_ctrl_c():
                client = get_client(sync_client=True)
            address = str(client.api_url).rstrip("/")
            # Asked first, because Prefect would fail with a traceback, after a minute.
            with asking_the_server(address), client:
                client.api_version()
            # Named, so that the processes of a pool use this server instead of starting their own.
            with temporary_settings({PREFECT_API_URL: address}):
                return flow(**parameters, return_state=True)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def asking_the_server(address: str) -> Iterator[None]:
    """Give up requests to a Prefect server after a few seconds.

    Raises:
        UnavailableError: The server does not answer, or refuses a request.
    """
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: CALL_RETRIES}):
            yield
    except httpx.HTTPStatusError as error:
        answer = error.response
        is_refused = answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
        raise UnavailableError(
            "The Prefect server must answer requests.",
            f"One to {address} was answered with {answer.status_code} {answer.reason_phrase}.",
            "Check PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud."
            if is_refused
            else "Check the server's log, and that PREFECT_API_URL is its address.",
        ) from error
    except httpx.HTTPError as error:
        raise UnavailableError(
            "The Prefect server must be reachable.",
            f"A request to {address} failed: {first_line(error)}.",
            "Check that the server is running and that PREFECT_API_URL is its address.",
        ) from error


def _check_home(folder: str) -> None:
    # Asked first, because Prefect would wait three minutes for its temporary server, and fail
    # without a reason.
    try:
        storage_of(folder).check_writable(folder)
    except OSError as error:
        raise CannotWriteError(
            "Without a server, Prefect must be able to write to its folder.",
            f"Writing to {folder} failed: {error.strerror or first_line(error)}.",
            "Set PREFECT_HOME to another folder, or PREFECT_API_URL to a server's address.",
        ) from error
