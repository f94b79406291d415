"""What leaves a task that fails: an error of this library, and no review text."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from prefect.client.schemas.objects import State

from imdb_classifier.errors import EXIT_INTERNAL, ImdbClassifierError, UnexpectedError

P = ParamSpec("P")
R = TypeVar("R")

TASK_RETRIES: Final = 2
"""Of tasks that only read or write files and can be repeated."""
RETRY_DELAY_SECONDS: Final = 5


def without_texts(function: Callable[P, R]) -> Callable[P, R]:
    """Replace the message of an unexpected error, which might quote a review."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ImdbClassifierError as error:
            # The errors behind it are not shown: Arrow's, for one, can quote a value.
            raise error from None
        except Exception as error:
            raise UnexpectedError(error) from None

    return guarded


def is_unexpected(task: object, run: object, state: State[Any]) -> bool:
    """Whether a task failed in a way that a retry may mend: an unsteady disk, no missing column."""
    error = state.result(raise_on_failure=False)
    return getattr(error, "exit_code", EXIT_INTERNAL) == EXIT_INTERNAL
