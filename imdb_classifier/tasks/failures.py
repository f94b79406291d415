"""Failures of tasks: which errors they raise, without review text, and when they are retried."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypedDict, TypeVar

from prefect import get_run_logger
from prefect.client.schemas.objects import State

from imdb_classifier.errors import ImdbClassifierError
from imdb_classifier.system_errors import known_error

P = ParamSpec("P")
R = TypeVar("R")

TASK_RETRIES: Final = 2
RETRY_DELAY_SECONDS: Final = 5


def without_texts(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that unexpected errors, which might quote a review, are replaced."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ImdbClassifierError as error:
            # Without its causes: Arrow's errors, for example, can quote a value.
            raise error from None
        except Exception as error:
            raise known_error(error) from None

    return guarded


def patiently(call: Callable[[], R]) -> R:
    """Call a function again, after a delay, when it fails in a way that may pass."""
    for _ in range(TASK_RETRIES):
        try:
            return call()
        except ImdbClassifierError as error:
            if not error.may_pass:
                raise
            get_run_logger().warning("%s Trying again in %d s.", error, RETRY_DELAY_SECONDS)
            time.sleep(RETRY_DELAY_SECONDS)
    return call()


def may_pass(task: object, run: object, state: State[Any]) -> bool:
    """Return whether a task may succeed if retried: after a disk error, not with a bad column."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, ImdbClassifierError) or error.may_pass


class _Retries(TypedDict):
    retries: int
    retry_delay_seconds: int
    retry_condition_fn: Callable[[object, object, State[Any]], bool]


RETRIES: Final[_Retries] = {
    "retries": TASK_RETRIES,
    "retry_delay_seconds": RETRY_DELAY_SECONDS,
    "retry_condition_fn": may_pass,
}
"""Arguments of ``prefect.task`` for tasks that only read or write files and can be repeated."""
