from __future__ import annotations

import traceback
from errno import ENOSPC
from types import SimpleNamespace
from typing import Any

import pytest

from imdb_classifier import tasks
from imdb_classifier.errors import (
    BadDataError,
    NoInputError,
    OutputExistsError,
    UnavailableError,
    UnexpectedError,
    cannot_write,
)
from imdb_classifier.tasks.failures import may_pass, without_texts

REVIEW = "A warm and funny film"


@without_texts
def broken() -> None:
    raise RuntimeError(REVIEW)


def test_an_unexpected_error_keeps_its_message_back() -> None:
    with pytest.raises(UnexpectedError, match="RuntimeError") as caught:
        broken()
    assert REVIEW not in "".join(traceback.format_exception(caught.value))


def test_only_errors_that_may_pass_are_retried() -> None:
    def retried(error: Exception) -> bool:
        ended: Any = SimpleNamespace(result=lambda raise_on_failure: error)
        return may_pass(None, None, ended)

    assert retried(OSError("the disk does not answer"))
    with pytest.raises(UnexpectedError) as caught:
        broken()
    assert retried(caught.value)
    assert retried(UnavailableError("a must be readable.", "The server is away.", "Rerun."))
    assert retried(cannot_write("a", OSError(ENOSPC, "No space left on device")))
    assert not retried(OutputExistsError("a", "another program wrote it", "Name another OUTPUT."))
    assert not retried(BadDataError("a must be Parquet.", "It is not.", "Recreate it."))
    assert not retried(NoInputError("An input file must exist.", "a does not.", "Check the path."))


def test_reading_reviews_is_retried() -> None:
    assert tasks.load_reviews.retries == 2
    assert tasks.load_reviews.retry_condition_fn is may_pass
