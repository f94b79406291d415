from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event, get_ident
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch import file_pool
from imdb_classifier.batch.inputs.discovery import discover_files
from imdb_classifier.batch.options import ScoreOptions, Selection
from imdb_classifier.batch.outputs.scored_file import score_file
from imdb_classifier.batch.parquet_footer.file_footer import FileFooter
from imdb_classifier.batch.results import FileResult, RunResult
from imdb_classifier.batch.run import BatchRun, score_parquet
from imdb_classifier.batch.units import FileToScore, Unit
from imdb_classifier.errors import CannotWriteError, MissingColumnError, NoInputError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.batch_profile import BatchProfile
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for day, texts in {"1": ["Lovely.", None], "2": ["Awful.", "  ", "Fine, I guess."]}.items():
        folder = tmp_path / "in" / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"text": texts}), folder / "part.parquet")
    return tmp_path / "in"


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_tree_is_scored_and_committed(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    seen: list[tuple[str, int, int]] = []
    result = score_parquet(
        str(tree), str(tmp_path / "out"), scorer, progress=lambda *told: seen.append(told)
    )
    assert result.exit_code == 0
    totals = result.totals()
    assert (totals["files"], totals["rows"], totals["without_text"], totals["failed"]) == (
        2,
        5,
        2,
        0,
    )
    assert seen == sorted(seen)
    assert seen[-1] == ("rows", 5, 5)
    assert {(what, total) for what, _, total in seen} == {("rows", 5)}
    files = written(tmp_path / "out")
    assert list(files) == [
        "_MANIFEST.json", "_SUCCESS", "day=1/part.parquet", "day=2/part.parquet",
    ]  # fmt: skip
    assert files["_SUCCESS"] == b""
    manifest = json.loads(files["_MANIFEST.json"])
    assert manifest["model_id"] == scorer.bundle.model_id
    assert manifest["totals"].items() <= totals.items()
    for file in manifest["files"]:
        path = tmp_path / "out" / file["name"]
        assert file["footer_digest"] == FileFooter.read(str(path)).digest
    # Readers of Hive folders see the keys and none of our own files.
    table = pq.read_table(tmp_path / "out")
    assert table.num_rows == 5
    assert "day" in table.column_names


def test_two_runs_give_the_same_bytes(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    score_parquet(str(tree), str(tmp_path / "one"), scorer)
    score_parquet(str(tree), str(tmp_path / "two"), scorer)
    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_one_bad_file_does_not_stop_the_others(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    bad = tree / "day=1" / "bad.parquet"
    bad.write_bytes(b"no parquet")
    pq.write_table(pa.table({"body": ["x"]}), tree / "day=2" / "other.parquet")
    result = score_parquet(str(tree), str(tmp_path / "out"), scorer)
    assert result.exit_code == 75
    assert [(file.name, file.exit_code) for file in result.failed] == [
        ("day=1/bad.parquet", 65),
        ("day=2/other.parquet", 65),
    ]
    assert "must be a readable Parquet file" in (result.failed[0].error or "")
    assert "`text_column`" in (result.failed[1].error or "")
    assert list(written(tmp_path / "out")) == [
        "_MANIFEST.json", "day=1/part.parquet", "day=2/part.parquet",
    ]  # fmt: skip

    pq.write_table(pa.table({"text": ["Repaired."]}), bad)
    (tree / "day=2" / "other.parquet").unlink()
    result = score_parquet(str(tree), str(tmp_path / "out"), scorer)
    assert [file.status for file in result.files] == ["scored", "reused", "reused"]
    undisturbed = tmp_path / "undisturbed"
    score_parquet(str(tree), str(undisturbed), scorer)
    assert written(tmp_path / "out") == written(undisturbed)


def test_a_folder_that_was_complete_is_not_while_a_file_fails(
    tree: Path, tmp_path: Path, scorer: Scorer
) -> None:
    score_parquet(str(tree), str(tmp_path / "out"), scorer)
    (tree / "day=1" / "bad.parquet").write_bytes(b"no parquet")
    score_parquet(str(tree), str(tmp_path / "out"), scorer)
    assert list(written(tmp_path / "out")) == [
        "_MANIFEST.json", "day=1/part.parquet", "day=2/part.parquet",
    ]  # fmt: skip


def test_when_all_fail_the_first_says_why(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    result = score_parquet(str(tree), str(tmp_path / "out"), scorer, ScoreOptions("body"))
    assert len(result.failed) == 2
    assert result.exit_code == 65
    assert list(written(tmp_path / "out")) == ["_MANIFEST.json"]


def test_a_single_file_raises(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    source, target = tree / "day=1" / "part.parquet", tmp_path / "out.parquet"
    with pytest.raises(MissingColumnError, match="Column 'body' is not in"):
        score_parquet(str(source), str(target), scorer, ScoreOptions("body"))
    assert score_parquet(str(source), str(target), scorer).totals()["rows"] == 2
    assert not (tmp_path / "_SUCCESS").exists()


@pytest.mark.parametrize("source", ["in", "in/day=1/part.parquet"], ids=["folder", "file"])
def test_older_outputs_are_replaced_when_asked_for(
    tree: Path, tmp_path: Path, scorer: Scorer, source: str
) -> None:
    source, output = str(tmp_path / source), str(tmp_path / "out")
    score_parquet(source, output, scorer)
    renamed = ScoreOptions(prefix="mood_")
    again = score_parquet(source, output, scorer, renamed, selection=Selection("new,stale"))
    assert {file.status for file in again.files} == {"scored"}
    assert again.exit_code == 0


def test_more_files_than_threads_are_under_way(
    tree: Path, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Barrier(scorer.threads + 1)
    for number in range(scorer.threads):
        pq.write_table(pa.table({"text": ["Fine."]}), tree / f"{number}.parquet")

    def waits_for_the_others(
        planned: FileToScore, *_: object, **__: object
    ) -> tuple[FileResult, BatchProfile]:
        together.wait(PATIENCE_SECONDS)
        return FileResult(planned.file.name, "scored"), BatchProfile()

    monkeypatch.setattr(file_pool, "score_file", waits_for_the_others)
    found = discover_files(str(tree), str(tmp_path / "out")).files[: scorer.threads + 1]
    unit = Unit(tuple(FileToScore(file, 1, False) for file in found), ScoreOptions())
    results = file_pool.score_files(unit, scorer)
    assert [(file.name, file.status) for file in results.files] == [
        (file.name, "scored") for file in found
    ]


def test_progress_is_reported_in_the_callers_thread(
    tree: Path, tmp_path: Path, scorer: Scorer
) -> None:
    threads = set()
    score_parquet(
        str(tree), str(tmp_path / "out"), scorer, progress=lambda *_: threads.add(get_ident())
    )
    assert threads == {get_ident()}


def test_an_interrupt_ends_the_files_under_way(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    rows = 25_000
    for number in range(2 * scorer.threads + 4):
        table = pa.table({"text": pa.array(["A"] + [None] * (rows - 1), pa.string())})
        pq.write_table(table, tree / f"{number}.parquet")
    with pytest.raises(KeyboardInterrupt):
        score_parquet(str(tree), str(tmp_path / "out"), scorer, progress=interrupt)
    assert not list(tmp_path.rglob("*.unfinished"))
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    planned = discover_files(str(tree), str(tmp_path / "out")).files
    assert not all(Path(file.target).exists() for file in planned)
    # What the interrupt left is taken up by the next run.
    assert score_parquet(str(tree), str(tmp_path / "out"), scorer).exit_code == 0
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_a_canceled_run_keeps_finished_files_and_no_half_ones(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    source, output, undisturbed = (tmp_path / name for name in ("in", "out", "undisturbed"))
    source.mkdir()
    for name, rows in {"a": 1, "b": 50_000, "c": 1}.items():
        table = pa.table({"text": pa.array(["A"] + [None] * (rows - 1), pa.string())})
        pq.write_table(table, source / f"{name}.parquet", row_group_size=5_000)
    cancel = Event()

    def show(what: str, done: int, total: int) -> None:
        # `b` is in progress; with one thread, `c` begins when `a` has ended.
        if done > 1 and (output / "a.parquet").exists():
            cancel.set()

    with Scorer(tiny_bundle, threads=1) as scorer:
        result = score_parquet(source, output, scorer, progress=show, cancel=cancel)
        scored = [file.name for file in result.of_status("scored")]
        assert scored[0] == "a.parquet"
        assert "b.parquet" in [file.name for file in result.of_status("pending")]
        assert list(written(output)) == ["_MANIFEST.json", *scored]
        assert result.exit_code == 75
        (note,) = result.notes()
        assert note.endswith(" pending. Rerun to continue.")
        assert score_parquet(source, output, scorer).is_complete
        score_parquet(source, undisturbed, scorer)
    assert written(output) == written(undisturbed)
    # A single file is canceled, too, and leaves nothing.
    target = tmp_path / "single.parquet"
    single = score_parquet(source / "b.parquet", target, tiny_bundle.path, cancel=cancel)
    assert [file.status for file in single.files] == ["pending"]
    assert not target.exists()


def test_an_error_that_nobody_foresaw_fails_one_file(
    tree: Path, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(planned: FileToScore, *arguments: Any, **options: Any) -> Any:
        if planned.file.name.startswith("day=1"):
            raise RuntimeError("Lovely.")
        return score_file(planned, *arguments, **options)

    monkeypatch.setattr(file_pool, "score_file", broken)
    result = score_parquet(str(tree), str(tmp_path / "out"), scorer)
    assert [file.status for file in result.files] == ["failed", "scored"]
    assert result.exit_code == 75
    assert result.files[0].exit_code == 70
    assert "RuntimeError in file_pool.py" in str(result.files[0].error)
    assert "Lovely" not in str(result.files[0].error)


def test_nothing_to_score(tmp_path: Path, scorer: Scorer) -> None:
    with pytest.raises(NoInputError, match="matches no file"):
        score_parquet(str(tmp_path / "nothing"), str(tmp_path / "out"), scorer)


def test_a_manifest_that_cannot_be_written(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    manifest = tmp_path / "out" / "_MANIFEST.json"

    def occupy(*_: object) -> None:
        if manifest.is_file():
            manifest.unlink()
            manifest.mkdir()

    with pytest.raises(CannotWriteError, match="out failed: Is a directory"):
        score_parquet(tree / "day=1", tmp_path / "out", scorer, progress=occupy)
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_a_folder_below_a_file(tree: Path, tmp_path: Path, scorer: Scorer) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWriteError, match=r"file/out failed: Not a directory\.") as caught:
        score_parquet(str(tree), str(tmp_path / "file" / "out"), scorer)
    assert caught.value.exit_code == 73


def test_exit_codes() -> None:
    good = FileResult("a", "scored")
    bad = FileResult("b", "failed", exit_code=73)
    assert RunResult("m", (good,)).exit_code == 0
    assert RunResult("m", (good, bad)).exit_code == 75
    assert RunResult("m", (bad, bad)).exit_code == 73


def test_a_unit_that_is_scored_again_takes_what_its_first_worker_finished(
    tree: Path, tmp_path: Path, scorer: Scorer
) -> None:
    """A Dask worker may die after it has finished some files of its unit."""
    with BatchRun.open(tree, tmp_path / "out", scorer.bundle.model_hash) as run:
        (unit,) = run.units()
        first = file_pool.score_files(replace(unit, files=unit.files[:1]), scorer)
        written = tmp_path / "out" / "day=1" / "part.parquet"
        before = written.stat()
        done: list[int] = []
        again = file_pool.score_files(unit, scorer, lambda _, rows, __: done.append(rows))
        assert again.files[0] == first.files[0]
        assert done[-1] == again.profile.rows == 5
        after = written.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert run.finish([again], scorer.bundle).is_complete
