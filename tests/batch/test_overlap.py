"""Runs whose outputs overlap exclude each other; all others run side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import OutputInUseError
from imdb_classifier.scoring.scorer import Scorer
from tests.waiting import PATIENCE_SECONDS

OVERLAPPING = [
    ("in", "out", "in", "out"),
    ("in", "out", "in", "out/sub"),
    ("in", "out", "in", "out/sub/deeper"),
    ("in", "out", "in/a.parquet", "out"),
    ("in", "out", "in/a.parquet", "out/x.parquet"),
    ("in", "out", "in/a.parquet", "out/sub/x.parquet"),
    ("in", "out/sub", "in/a.parquet", "out/sub"),
    ("in/a.parquet", "out", "in/a.parquet", "out"),
    ("in/a.parquet", "out", "in/a.parquet", "out/a.parquet"),
    ("in/a.parquet", "out/x.parquet", "in/a.parquet", "out/x.parquet"),
    # "link" leads to "out", and "out/away" to "away".
    ("in", "out", "in", "link"),
    ("in", "out", "in", "link/sub"),
    ("in", "link", "in", "out/sub"),
    ("in", "out", "in/a.parquet", "link/x.parquet"),
    ("in", "link", "in/a.parquet", "out"),
    ("in/a.parquet", "out/x.parquet", "in/a.parquet", "link/x.parquet"),
    ("in", "away", "in", "out/away/sub"),
]
APART = [
    ("in", "out", "in", "out2"),
    ("in", "out/sub", "in", "out/other"),
    ("in", "out/sub", "in/a.parquet", "out/x.parquet"),
    ("in", "out/sub", "in/a.parquet", "out"),
    ("in/a.parquet", "out/x.parquet", "in/a.parquet", "out/y.parquet"),
    ("in/a.parquet", "out", "in/b.parquet", "out"),
    ("in/a.parquet", "new/x.parquet", "in/a.parquet", "new/y.parquet"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in "ab":
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(pa.table({"text": ["A fine film.", None]}), tmp_path / f"in/{name}.parquet")
    for name in ("out", "away"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "out" / "away").symlink_to("../away")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def running(source: str, output: str, scorer: Scorer) -> Iterator[None]:
    """A run that is halfway through its work."""
    begun, may_end = Event(), Event()

    def wait(*_: object) -> None:
        begun.set()
        assert may_end.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(score_parquet, source, output, scorer, progress=wait)
        try:
            assert begun.wait(PATIENCE_SECONDS)
            yield
        finally:
            may_end.set()
        assert run.result().exit_code == 0


def folders_and_their_locks(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_dir() or path.name.endswith("lock")}


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize(("source", "output", "other_source", "other_output"), OVERLAPPING)
def test_overlapping_runs_exclude_each_other(
    here: Path,
    scorer: Scorer,
    source: str,
    output: str,
    other_source: str,
    other_output: str,
    turned: bool,
) -> None:
    first, second = (source, output), (other_source, other_output)
    if turned:
        first, second = second, first
    with running(*first, scorer):
        before = folders_and_their_locks(here)
        with pytest.raises(OutputInUseError, match="Another run is writing to ") as refused:
            score_parquet(*second, scorer)
        assert folders_and_their_locks(here) == before
    assert second[1] in str(refused.value)
    assert score_parquet(*second, scorer).exit_code == 0
    assert not list(here.rglob("*.lock"))


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize(("source", "output", "other_source", "other_output"), APART)
def test_other_runs_work_side_by_side(
    here: Path,
    scorer: Scorer,
    source: str,
    output: str,
    other_source: str,
    other_output: str,
    turned: bool,
) -> None:
    first, second = (source, output), (other_source, other_output)
    if turned:
        first, second = second, first
    with running(*first, scorer):
        assert score_parquet(*second, scorer).exit_code == 0
    assert not [path for path in here.rglob(".*") if path.suffix in (".lock", ".unfinished")]
