"""Which files a run scores, when it ends early, and what becomes of rows without text."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.options import Limits, Only, ScoreOptions, Selection
from imdb_classifier.batch.results import FileResult
from imdb_classifier.batch.run import score_parquet
from imdb_classifier.errors import BadDataError, ConfigurationError, OutputInUseError
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.scorer import Scorer

Score = Callable[..., FileResult]
TEXTS = ["A wonderful film.", None, "", "  ", "Dull and badly acted."]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "in").mkdir()
    for name in "abc":
        pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in" / f"{name}.parquet")
    return str(tmp_path / "in")


def statuses(result: object) -> list[str]:
    return [file.status for file in result.files]  # type: ignore[attr-defined]


def test_after_a_promotion_only_what_is_asked_for_is_scored(
    folder: str, tmp_path: Path, scorer: Scorer
) -> None:
    output = str(tmp_path / "out")
    score_parquet(folder, output, scorer)
    (tmp_path / "out" / "c.parquet").unlink()
    with Scorer(load_bundle(bundled_path())) as promoted:
        default = score_parquet(folder, output, promoted)
        assert statuses(default) == ["failed", "failed", "scored"]
        (tmp_path / "out" / "c.parquet").unlink()
        new = score_parquet(folder, output, promoted, selection=Selection("new"))
        assert statuses(new) == ["outdated", "outdated", "scored"]
        # All that was asked for is done, but readers would see rows of two models.
        assert (new.exit_code, new.totals()["outdated"]) == (0, 2)
        assert not (tmp_path / "out" / "_SUCCESS").exists()
        assert new.notes()[1] == "The output is not marked as complete."
        stale = score_parquet(folder, output, promoted, selection=Selection("stale"))
        assert statuses(stale) == ["scored", "scored", "reused"]
        assert (tmp_path / "out" / "_SUCCESS").exists()
        (tmp_path / "out" / "a.parquet").unlink()
        stale = score_parquet(folder, output, promoted, selection=Selection("stale"))
        assert statuses(stale) == ["skipped", "reused", "reused"]
        both = score_parquet(folder, output, promoted, selection=Selection("new,stale"))
        assert statuses(both) == ["scored", "reused", "reused"]
        forced = score_parquet(folder, output, promoted, selection=Selection(force=True))
        assert statuses(forced) == ["scored"] * 3


@pytest.mark.parametrize("only", ["old", "new,", ""])
def test_what_cannot_be_selected(only: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"new, stale or new,stale\. It is {only}\."):
        Selection(only)


@pytest.mark.parametrize("only", [None, "new", "stale", "new,stale"])
def test_force_goes_beyond_every_selection(only: Only | None) -> None:
    forced = Selection(only, force=True)
    assert (forced.new, forced.stale) == (True, "replace")


def test_a_deadline_leaves_the_rest_for_the_next_run(
    folder: str, tmp_path: Path, scorer: Scorer
) -> None:
    first = score_parquet(folder, str(tmp_path / "out"), scorer, limits=Limits("1us", None))
    assert statuses(first) == ["pending"] * 3
    assert first.exit_code == 75
    assert not list(tmp_path.rglob("*.unfinished"))
    second = score_parquet(folder, str(tmp_path / "out"), scorer, limits=Limits("1h30m", None))
    assert statuses(second) == ["scored"] * 3
    assert (tmp_path / "out" / "_SUCCESS").exists()
    assert Limits("45m").seconds == 2700.0


@pytest.mark.parametrize("deadline", ["45", "0m", "-1h", "soon", ""])
def test_what_is_no_deadline(deadline: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{deadline}' is not. Use, for example"):
        Limits(deadline, None)


def test_too_many_bad_files_end_a_run(folder: str, tmp_path: Path, scorer: Scorer) -> None:
    for number in range(20):
        (tmp_path / "in" / f"0{number}.parquet").write_bytes(b"no parquet")
    ended = score_parquet(folder, str(tmp_path / "out"), scorer, limits=Limits(None, 2))
    assert 3 <= len(ended.failed) < 3 + scorer.threads + 1
    assert ended.totals()["pending"] > 10
    assert ended.exit_code == 75
    borne = score_parquet(folder, str(tmp_path / "out"), scorer, limits=Limits(None, 20))
    assert (len(borne.failed), borne.totals()["pending"]) == (20, 0)
    with pytest.raises(ConfigurationError, match="It is -1"):
        Limits(None, -1)


def test_a_dead_run_locks_nobody_out_and_what_it_left_is_removed(
    folder: str, tmp_path: Path, scorer: Scorer
) -> None:
    output = tmp_path / "out"
    holds = (
        "import sys, time; from imdb_classifier.batch.run import locked\n"
        "with locked(sys.argv[1]): print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(output)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(OutputInUseError, match=r"Another run is writing to .*/out"):
            score_parquet(folder, str(output), scorer)
        for name in ("a.parquet", "_MANIFEST.json"):
            (output / f".{name}.0011aabb.unfinished").touch()
        (output / ".a.parquet.draft.unfinished").touch()
        os.kill(process.pid, signal.SIGKILL)
    assert score_parquet(folder, str(output), scorer).exit_code == 0
    assert sorted(path.name for path in output.iterdir()) == [
        ".a.parquet.draft.unfinished", "_MANIFEST.json", "_SUCCESS", "a.parquet",
        "b.parquet", "c.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize("on_null", ["label", "skip"])
def test_rows_without_text_are_kept_or_left_out(score: Score, tmp_path: Path, on_null: str) -> None:
    pq.write_table(pa.table({"n": range(5), "text": TEXTS}), tmp_path / "in.parquet")
    result = score(ScoreOptions(on_null=on_null))  # type: ignore[arg-type]
    assert (result.rows, result.without_text) == (5, 3)
    kept = pq.read_table(tmp_path / "out.parquet")["n"].to_pylist()
    assert kept == ([0, 1, 2, 3, 4] if on_null == "label" else [0, 4])


def test_rows_without_text_refuse_a_file_if_asked_to(score: Score, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "in.parquet")
    with pytest.raises(BadDataError, match=r"Row 1 of .*in\.parquet has none"):
        score(ScoreOptions(on_null="error"))
    assert not (tmp_path / "out.parquet").exists()
    pq.write_table(pa.table({"text": TEXTS[:1]}), tmp_path / "in.parquet")
    assert score(ScoreOptions(on_null="error")).status == "scored"


def test_a_manifest_says_what_it_promises(folder: str, tmp_path: Path, scorer: Scorer) -> None:
    score_parquet(folder, str(tmp_path / "out"), scorer)
    manifest = json.loads((tmp_path / "out" / "_MANIFEST.json").read_text())
    assert manifest["input"] == folder
    assert manifest["model_hash"] == scorer.bundle.model_hash
