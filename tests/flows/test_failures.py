from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from imdb_classifier import tasks
from imdb_classifier.errors import NoInputError, UnexpectedError
from imdb_classifier.tasks.failures import is_unexpected, without_texts

REVIEW = "A warm and funny film"


@without_texts
def broken() -> None:
    raise RuntimeError(REVIEW)


def test_an_unexpected_error_keeps_its_message_back() -> None:
    with pytest.raises(UnexpectedError, match="RuntimeError") as caught:
        broken()
    assert REVIEW not in "".join(traceback.format_exception(caught.value))


def test_only_unexpected_errors_are_retried() -> None:
    def retried(error: Exception) -> bool:
        ended: Any = SimpleNamespace(result=lambda raise_on_failure: error)
        return is_unexpected(None, None, ended)

    assert retried(OSError("the disk does not answer"))
    with pytest.raises(UnexpectedError) as caught:
        broken()
    assert retried(caught.value)
    assert not retried(NoInputError("An input file must exist.", "a does not.", "Check the path."))


def test_reading_reviews_is_retried() -> None:
    assert tasks.load_reviews.retries == 2
    assert tasks.load_reviews.retry_condition_fn is is_unexpected
