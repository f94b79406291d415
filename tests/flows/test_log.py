"""The library's log lines outside of runs; for those of runs see test_train.py."""

from __future__ import annotations

import logging

import pytest

import imdb_classifier.tasks.events  # noqa: F401 - adds the handler that sends lines to runs


def test_a_line_outside_of_runs_reaches_other_handlers_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("imdb_classifier.training.loop").info("epoch 1")
    assert caplog.messages == ["epoch 1"]
