from __future__ import annotations

import traceback
from contextlib import nullcontext
from errno import EACCES, ENOSPC
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier import tasks
from imdb_classifier.batch import file_pool
from imdb_classifier.batch.inputs.discovery import DiscoveredFile
from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.batch.results import UnitResult
from imdb_classifier.batch.units import FileToScore, Unit
from imdb_classifier.errors import (
    BadDataError,
    NoInputError,
    OutputExistsError,
    UnavailableError,
    UnexpectedError,
)
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import LocalStorage
from imdb_classifier.system_errors import cannot_write
from imdb_classifier.tasks import failures, score_tasks
from imdb_classifier.tasks.failures import TASK_RETRIES, may_pass, patiently, without_texts

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


@pytest.fixture
def unit(scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """Two files to score, and no time to wait for."""
    monkeypatch.setattr(score_tasks, "RETRY_DELAY_SECONDS", 0)
    monkeypatch.setattr(score_tasks, "_scorer", lambda *_: scorer)
    files = []
    for name in ("a", "b"):
        pq.write_table(pa.table({"text": ["Good."]}), tmp_path / f"{name}.parquet")
        source, target = f"{tmp_path}/", f"{tmp_path}/out/"
        file = DiscoveredFile(source, f"{name}.parquet", target, f"{name}.parquet")
        files.append(FileToScore(file, 1, replaces=False))
    return Unit(tuple(files), ScoreOptions())


def scored(unit: Unit) -> list[tuple[str, int]]:
    model = tasks.ResolvedModel(model_id="", model_hash="", path="")
    result = UnitResult.from_dict(score_tasks.score_files.fn(1, unit.to_dict(), model, 1, None))
    assert result.profile.rows == sum(file.rows for file in result.files)
    return [(file.status, file.exit_code) for file in result.files]


@pytest.mark.parametrize(("times", "expected"), [(2, ("scored", 0)), (3, ("failed", 69))])
def test_only_files_that_a_server_refuses_are_tried_again(
    unit: Unit, monkeypatch: pytest.MonkeyPatch, times: int, expected: tuple[str, int]
) -> None:
    refused: list[str] = []
    opened = LocalStorage.open

    def refusing(self: LocalStorage, path: str) -> pa.NativeFile:
        if path == unit.files[1].file.source and len(refused) < times:
            refused.append(path)
            raise PermissionError(EACCES, "Permission denied")
        return opened(self, path)

    calls = Mock(wraps=file_pool.score_files)
    monkeypatch.setattr(file_pool, "score_files", calls)
    monkeypatch.setattr(LocalStorage, "open", refusing)
    assert scored(unit) == [("scored", 0), expected]
    tried = [[file.file.name for file in call.args[0].files] for call in calls.call_args_list]
    assert tried == [["a.parquet", "b.parquet"], ["b.parquet"], ["b.parquet"]]


def test_a_damaged_file_is_not_tried_again(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Mock(wraps=file_pool.score_files)
    monkeypatch.setattr(file_pool, "score_files", calls)
    Path(unit.files[0].file.source).write_text("no Parquet")
    assert scored(unit) == [("failed", 65), ("scored", 0)]
    assert calls.call_count == 1


@pytest.mark.parametrize(("times", "raised"), [(0, False), (2, False), (3, True)])
def test_a_run_waits_for_a_server(
    monkeypatch: pytest.MonkeyPatch, times: int, raised: bool
) -> None:
    monkeypatch.setattr(failures, "RETRY_DELAY_SECONDS", 0)
    monkeypatch.setattr(failures, "get_run_logger", Mock())
    away = UnavailableError("a must be readable.", "The server is away.", "Rerun.")
    call = Mock(side_effect=[*[away] * times, "opened"])
    with pytest.raises(UnavailableError) if raised else nullcontext():
        assert patiently(call) == "opened"
    assert call.call_count == min(times, TASK_RETRIES) + 1
    call = Mock(side_effect=NoInputError("An input must exist.", "a does not.", "Check it."))
    with pytest.raises(NoInputError):
        patiently(call)
    assert call.call_count == 1
