"""What a run does where an earlier run has been: nothing again, and nothing of others."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.batch.dry_run import dry_run_parquet
from imdb_classifier.batch.file_pool import score_files
from imdb_classifier.batch.options import Limits, ScoreOptions, Selection
from imdb_classifier.batch.outputs.provenance import read_provenance
from imdb_classifier.batch.results import FileResult, RunResult
from imdb_classifier.batch.run import BatchRun, score_parquet
from imdb_classifier.batch.verification import verify_output
from imdb_classifier.errors import ConfigurationError, OutputExistsError, UnreadableFileError
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.scorer import ScoredChunk, Scorer
from imdb_classifier.storage import LocalStorage


def write(folder: Path, *names: str, texts: tuple[str | None, ...] = ("A fine film.", None)) -> str:
    folder.mkdir(exist_ok=True)
    for name in names:
        pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), folder / name)
    return str(folder)


def statuses(result: RunResult) -> list[str]:
    return [file.status for file in result.files]


def test_a_run_with_nothing_to_do_opens_each_footer_once(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    opened: Counter[str] = Counter()
    open_file = LocalStorage.open

    def counting(self: LocalStorage, path: str) -> pa.NativeFile:
        opened[str(Path(path).relative_to(tmp_path))] += 1
        return open_file(self, path)

    monkeypatch.setattr(LocalStorage, "open", counting)
    assert statuses(score_parquet(source, str(output), scorer)) == ["reused"] * 2
    once = {"in/a.parquet": 1, "in/b.parquet": 1, "out/a.parquet": 1, "out/b.parquet": 1}
    assert {name: count for name, count in opened.items() if name.endswith("t")} == once
    opened.clear()
    dry_run_parquet(source, output, scorer)
    assert {name: count for name, count in opened.items() if name.endswith("t")} == once


def test_a_complete_output_stays_complete_while_there_is_nothing_to_do(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    deleted: list[str] = []
    monkeypatch.setattr(LocalStorage, "delete", lambda self, path: deleted.append(path))
    score_parquet(source, str(output), scorer)
    assert deleted == []


def test_new_files_wait_without_harm_if_only_stale_ones_are_asked_for(
    tmp_path: Path, scorer: Scorer
) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), str(tmp_path / "out")
    score_parquet(source, output, scorer)
    write(tmp_path / "in", "c.parquet")
    with Scorer(load_bundle(bundled_path())) as promoted:
        result = score_parquet(source, output, promoted, selection=Selection("stale"))
        assert statuses(result) == ["scored", "scored", "skipped"]
        assert (result.exit_code, result.is_complete) == (0, True)
        manifest = json.loads((tmp_path / "out" / "_MANIFEST.json").read_text())
        assert [file["name"] for file in manifest["files"]] == ["a.parquet", "b.parquet"]
        assert manifest["skipped"] == ["c.parquet"]
        assert (tmp_path / "out" / "_SUCCESS").exists()
        assert verify_output(output, promoted).problems == ()


def test_what_was_scored_is_told_from_what_was_reused(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), str(tmp_path / "out")
    score_parquet(source, output, scorer)
    write(tmp_path / "in", "b.parquet", texts=("Good.",) * 5)
    result = score_parquet(source, output, scorer)
    totals = result.totals()
    assert (totals["scored"], totals["reused"], totals["scored_rows"], totals["rows"]) == (
        1, 1, 5, 7,
    )  # fmt: skip
    model = scorer.bundle.model_id
    assert result.summary == f"5 rows in 1 file scored by {model}, 1 file reused."
    again = score_parquet(source, output, scorer)
    assert again.summary == f"0 rows in 0 files scored by {model}, 2 files reused."


def test_drift_is_that_of_the_rows_that_were_scored(tmp_path: Path) -> None:
    usual = ("A wonderful film with a fine cast. " * 30, "Dull, loud and badly acted. " * 40)
    source, output = write(tmp_path / "in", "a.parquet", texts=usual * 500), str(tmp_path / "out")
    with Scorer(load_bundle(bundled_path())) as bundled:
        score_parquet(source, output, bundled)
        write(tmp_path / "in", "b.parquet", texts=("zxqv wrtk plmn",) * 20)
        result = score_parquet(source, output, bundled)
        assert result.drift
        assert result.output_drift
        assert (result.drift.rows, result.output_drift.rows) == (20, 1_020)
        unknown = {measure.name: measure for measure in result.drift.measures}["unknown_words"]
        assert unknown.batch == 1.0
        assert unknown.crossed
        written = json.loads((tmp_path / "out" / "_DRIFT.json").read_text())
        assert written["rows"] == 1_020
        # Old drift is no news.
        assert score_parquet(source, output, bundled).drift is None


def test_outputs_without_an_input_are_named_and_pruned_if_asked_for(
    tmp_path: Path, scorer: Scorer
) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    (tmp_path / "in" / "b.parquet").unlink()
    # Another program's file is neither ours to name nor to delete.
    pq.write_table(pa.table({"mine": [1]}), output / "mine.parquet")
    assert dry_run_parquet(source, output, scorer).orphans == ("b.parquet",)
    result = score_parquet(source, str(output), scorer)
    assert (result.exit_code, result.orphans, result.pruned) == (0, ("b.parquet",), ())
    assert "1 output without an input: b.parquet. Delete with `prune`" in result.notes()[0]
    assert json.loads((output / "_MANIFEST.json").read_text())["orphans"] == ["b.parquet"]
    problems = {problem.file: problem.what for problem in verify_output(output, scorer).problems}
    assert problems["b.parquet"] == "Its input is gone; delete it with `prune`."
    assert problems["mine.parquet"] == "The manifest does not list it."

    pruned = score_parquet(source, str(output), scorer, selection=Selection(prune=True))
    assert (pruned.pruned, pruned.exit_code) == (("b.parquet",), 0)
    assert sorted(path.name for path in output.glob("*.parquet")) == ["a.parquet", "mine.parquet"]
    assert json.loads((output / "_MANIFEST.json").read_text())["orphans"] == []


@pytest.mark.parametrize("ending", ["incomplete", "killed"])
def test_outputs_of_a_run_that_was_never_completed_are_named_too(
    tmp_path: Path, scorer: Scorer, ending: str
) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), tmp_path / "out"
    if ending == "incomplete":
        (tmp_path / "in" / "bad.parquet").write_bytes(b"no parquet")
        assert score_parquet(source, str(output), scorer).exit_code == 75
        (tmp_path / "in" / "bad.parquet").unlink()
    else:
        with BatchRun.open(source, output, scorer.bundle.model_hash) as run:
            for unit in run.units():
                score_files(unit, scorer)
    assert not (output / "_SUCCESS").exists()
    (tmp_path / "in" / "b.parquet").unlink()
    result = score_parquet(source, str(output), scorer)
    assert (result.exit_code, result.orphans) == (0, ("b.parquet",))
    problems = {problem.file: problem.what for problem in verify_output(output, scorer).problems}
    assert problems == {"b.parquet": "Its input is gone; delete it with `prune`."}
    score_parquet(source, str(output), scorer, selection=Selection(prune=True))
    assert sorted(path.name for path in output.glob("*.parquet")) == ["a.parquet"]


def test_an_input_may_be_spelled_in_several_ways(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), str(tmp_path / "out")
    (tmp_path / "link").symlink_to("in")
    score_parquet(source, output, scorer)
    (tmp_path / "in" / "b.parquet").unlink()
    monkeypatch.chdir(tmp_path)
    for spelling in (f"{source}/", "in", "./in/../in", f"{tmp_path}/out/../in", "link"):
        assert score_parquet(spelling, output, scorer).orphans == ("b.parquet",), spelling


def test_orphans_of_any_name_are_named_and_deleted(tmp_path: Path, scorer: Scorer) -> None:
    names = [os.fsdecode(b"caf\xe9.parquet"), "two\nlines.parquet", "\x1b[31m.parquet"]
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    for name in names:
        shutil.copy(tmp_path / "in" / "a.parquet", tmp_path / "in" / name)
    score_parquet(source, str(output), scorer)
    for name in names:
        (tmp_path / "in" / name).unlink()
    shown = {r"caf\xe9.parquet", r"two\nlines.parquet", r"\x1b[31m.parquet"}
    for _ in range(2):
        assert set(dry_run_parquet(source, output, scorer).orphans) == shown
        assert set(score_parquet(source, str(output), scorer).orphans) == shown
    problems = {problem.file: problem.what for problem in verify_output(output, scorer).problems}
    assert set(problems) == shown
    pruned = score_parquet(source, str(output), scorer, selection=Selection(prune=True))
    assert set(pruned.pruned) == shown
    json.dumps(pruned.to_dict(), ensure_ascii=False).encode()
    assert [path.name for path in output.glob("*.parquet")] == ["a.parquet"]


def test_what_cannot_be_read_still_exists(tmp_path: Path, scorer: Scorer) -> None:
    write(tmp_path / "disk", "b.parquet")
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    (tmp_path / "in" / "day=1").symlink_to(tmp_path / "disk")
    score_parquet(source, str(output), scorer)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    result = score_parquet(source, str(output), scorer, selection=Selection(prune=True))
    assert [file.name for file in result.ignored] == ["day=1"]
    assert (result.orphans, result.pruned) == ((), ())
    assert (output / "day=1" / "b.parquet").exists()


def test_a_folder_whose_outputs_are_outdated_is_marked_but_not_complete(
    tmp_path: Path, scorer: Scorer
) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    write(tmp_path / "in", "a.parquet", texts=("Another text.",))
    for selection, code in ((Selection(), 73), (Selection("new"), 0)):
        result = score_parquet(source, str(output), scorer, selection=selection)
        assert (result.exit_code, result.is_complete, result.is_marked) == (code, False, True)
        assert result.to_dict()["is_complete"] is False
        assert (output / "_SUCCESS").exists()
        assert not any("not marked" in note for note in result.notes())


def test_a_file_that_changes_meanwhile_is_not_bad(
    tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its producer is still writing it; the next run finds it complete."""
    write(tmp_path / "in", "a.parquet", "b.parquet", texts=("A fine film.",))
    output, score_chunk, times = tmp_path / "out", scorer._score_chunk, itertools.count(1)

    def meanwhile(texts: pa.ChunkedArray | pa.Array) -> ScoredChunk:
        os.utime(tmp_path / "in" / "a.parquet", (next(times), next(times)))
        return score_chunk(texts)

    monkeypatch.setattr(scorer, "_score_chunk", meanwhile)
    result = score_parquet(
        tmp_path / "in",
        output,
        scorer,
        ScoreOptions(quarantine=True),
        limits=Limits(accept_bad_files=2),
    )
    (failed,) = result.failed
    assert (failed.name, failed.exit_code, failed.may_pass) == ("a.parquet", 69, True)
    assert (result.exit_code, result.is_complete) == (75, False)
    assert not (output / "_SUCCESS").exists()
    assert not (output / "_quarantine").exists()


def test_a_pattern_that_leaves_inputs_out_makes_no_orphans(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), str(tmp_path / "out")
    score_parquet(source, output, scorer)
    prune = Selection(prune=True)
    result = score_parquet(f"{source}/a*.parquet", output, scorer, selection=prune)
    assert (result.orphans, result.pruned) == ((), ())
    assert (tmp_path / "out" / "b.parquet").exists()


def test_a_run_is_complete_with_bad_files_that_are_accepted(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), str(tmp_path / "out")
    for name in ("x.parquet", "y.parquet"):
        (tmp_path / "in" / name).write_bytes(b"no parquet")
    assert score_parquet(source, output, scorer, limits=Limits(accept_bad_files=1)).exit_code == 75
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    result = score_parquet(source, output, scorer, limits=Limits(accept_bad_files=2))
    assert (result.exit_code, statuses(result)) == (0, ["reused", "failed", "failed"])
    manifest = json.loads((tmp_path / "out" / "_MANIFEST.json").read_text())
    assert [file["name"] for file in manifest["bad_files"]] == ["x.parquet", "y.parquet"]
    assert "must be a readable Parquet file" in manifest["bad_files"][0]["error"]
    assert verify_output(output, scorer).problems == ()
    with pytest.raises(ConfigurationError, match="`accept_bad_files` must be at least 0"):
        Limits(accept_bad_files=-1)


def test_a_bad_file_with_an_older_output_is_not_accepted(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), str(tmp_path / "out")
    score_parquet(source, output, scorer)
    (tmp_path / "in" / "b.parquet").write_bytes(b"no parquet")
    accept = Limits(accept_bad_files=1)
    for only in (None, "new,stale"):
        result = score_parquet(source, output, scorer, selection=Selection(only), limits=accept)
        # Readers would take the rows of the older output for those of the bad file.
        assert (result.exit_code, result.files[1].output) == (75, f"{output}/b.parquet")


def test_faults_of_the_output_are_not_accepted() -> None:
    good = FileResult("a", "scored")
    full = FileResult("b", "failed", exit_code=73)
    gone = FileResult("b", "failed", exit_code=66)
    assert RunResult("m", (good, gone), accept_bad_files=1).exit_code == 75
    assert RunResult("m", (good, full), accept_bad_files=1).exit_code == 75
    bad = FileResult("b", "failed", exit_code=65)
    assert RunResult("m", (good, bad), accept_bad_files=1).exit_code == 0
    assert RunResult("m", (bad, bad), accept_bad_files=2).exit_code == 65


@pytest.mark.parametrize(
    ("name", "content"),
    [("_SUCCESS", ""), ("_MANIFEST.json", '{"entries": []}'), ("_DRIFT.json", "[]")],
)
def test_a_folder_that_another_program_completed_stays_as_it_was(
    tmp_path: Path, scorer: Scorer, name: str, content: str
) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    output.mkdir()
    (output / name).write_text(content)
    for run in (score_parquet, dry_run_parquet):
        with pytest.raises(OutputExistsError, match=f"out/{name} must not exist, .* did not write"):
            run(source, str(output), scorer)
        assert {path.name: path.read_text() for path in output.iterdir()} == {name: content}


def test_a_refused_run_leaves_a_complete_folder_as_it_is(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    write(tmp_path / "in", "b.parquet")
    (output / "b.parquet").write_text("mine")
    result = score_parquet(source, str(output), scorer)
    assert (statuses(result), result.exit_code) == (["reused", "failed"], 75)
    # Nothing was changed, so that readers still find what was complete.
    assert (output / "_SUCCESS").exists()
    assert (output / "b.parquet").read_text() == "mine"


def test_the_footer_of_a_new_output_is_the_one_the_manifest_has(
    tmp_path: Path, scorer: Scorer
) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    first = score_parquet(source, str(output), scorer).files[0]
    again = score_parquet(source, str(output), scorer).files[0]
    assert first.footer_digest == again.footer_digest
    options = ScoreOptions(on_null="skip")
    score_parquet(source, str(output), scorer, options, selection=Selection("new,stale"))
    assert verify_output(output, scorer).problems == ()
    provenance = read_provenance(str(output / "a.parquet"))
    assert provenance
    assert provenance["options"]["on_null"] == "skip"


def test_outputs_of_another_input_are_never_pruned(tmp_path: Path, scorer: Scorer) -> None:
    one, other = write(tmp_path / "one", "a.parquet"), write(tmp_path / "other", "b.parquet")
    output = str(tmp_path / "out")
    score_parquet(one, output, scorer)
    result = score_parquet(other, output, scorer, selection=Selection(prune=True))
    assert (result.orphans, result.pruned) == ((), ())
    assert (tmp_path / "out" / "a.parquet").exists()


def test_a_file_that_was_made_from_an_output_is_not_ours(tmp_path: Path, scorer: Scorer) -> None:
    """Other programs copy the keys of a footer, ours among them."""
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    derived = pq.ParquetFile(output / "a.parquet").read().slice(0, 1)
    assert b"imdb_classifier" in derived.schema.metadata
    pq.write_table(derived, output / "a.parquet")
    for selection in (Selection(), Selection(force=True)):
        result = score_parquet(source, str(output), scorer, selection=selection)
        assert statuses(result)[0] == "failed"
        assert "imdb-classifier did not write it" in str(result.files[0].error)
        assert len(pq.read_table(output / "a.parquet")) == 1


def test_an_output_is_pruned_although_others_are_not_up_to_date(
    tmp_path: Path, scorer: Scorer
) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    (tmp_path / "in" / "b.parquet").unlink()
    (tmp_path / "in" / "bad.parquet").write_bytes(b"no parquet")
    result = score_parquet(source, str(output), scorer, selection=Selection(prune=True))
    assert (result.exit_code, result.pruned) == (75, ("b.parquet",))
    assert not (output / "b.parquet").exists()


def test_files_that_wait_do_not_complete_a_folder_that_never_was(
    tmp_path: Path, scorer: Scorer
) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    result = score_parquet(source, str(output), scorer, selection=Selection("stale"))
    assert (statuses(result), result.exit_code, result.is_complete) == (["skipped"], 0, False)
    assert not output.exists()
    single = str(tmp_path / "single.parquet")
    score_parquet(f"{source}/a.parquet", single, scorer, selection=Selection("stale"))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_finished_folders_around_and_inside_an_output_are_no_longer_complete(
    tmp_path: Path, scorer: Scorer
) -> None:
    write(tmp_path / "in")
    source, output = write(tmp_path / "in" / "day=1", "a.parquet"), tmp_path / "out"
    whole, force = str(tmp_path / "in"), Selection(force=True)
    score_parquet(whole, str(output), scorer)
    score_parquet(source, str(output / "day=1"), scorer, selection=force)
    assert not (output / "_SUCCESS").exists()
    score_parquet(whole, str(output), scorer, selection=force)
    assert not (output / "day=1" / "_SUCCESS").exists()
    file = f"{source}/a.parquet"
    score_parquet(file, str(output / "day=1" / "a.parquet"), scorer, selection=force)
    assert not (output / "_SUCCESS").exists()


def test_a_run_with_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    with Scorer(load_bundle(bundled_path())) as bundled:
        score_parquet(source, str(output), bundled)
        before = {path.name: path.stat().st_ino for path in output.iterdir()}
        score_parquet(source, str(output), bundled)
    assert {path.name: path.stat().st_ino for path in output.iterdir()} == before
    assert set(before) == {"_SUCCESS", "_MANIFEST.json", "_DRIFT.json", "a.parquet"}


@pytest.mark.parametrize("left", [0, 10, 40])
def test_a_damaged_manifest_is_written_again(tmp_path: Path, scorer: Scorer, left: int) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    manifest = (output / "_MANIFEST.json").read_bytes()
    (output / "_MANIFEST.json").write_bytes(manifest[:left])
    assert score_parquet(source, str(output), scorer).exit_code == 0
    assert (output / "_MANIFEST.json").read_bytes() == manifest


def test_an_unreadable_input_is_no_outdated_one(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), str(tmp_path / "out")
    score_parquet(source, output, scorer)
    (tmp_path / "in" / "b.parquet").write_bytes(b"no parquet")
    options = ScoreOptions(quarantine=True)
    for only in (None, "new", "stale", "new,stale"):
        selection = Selection(only)
        plan = dry_run_parquet(source, output, scorer, selection=selection)
        result = score_parquet(source, output, scorer, selection=selection)
        assert (plan.files[1].status, result.files[1].status) == ("failing", "failed")
        assert plan.files[1].error == result.files[1].error
        assert "must be a readable Parquet file" in str(result.files[1].error)
    score_parquet(source, output, scorer, options, selection=Selection("new,stale"))
    assert (tmp_path / "out" / "_quarantine" / "b_parquet.csv").exists()


def test_a_single_file_that_fails_is_listed(tmp_path: Path, scorer: Scorer) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(UnreadableFileError):
        score_parquet(
            str(tmp_path / "bad.parquet"), str(tmp_path / "out.parquet"), scorer,
            ScoreOptions(quarantine=True),
        )  # fmt: skip
    assert (
        "must be a readable Parquet file"
        in (tmp_path / "_quarantine" / "out_parquet.csv").read_text()
    )


def test_whatever_is_in_the_way_of_an_output_is_foreign(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), tmp_path / "out"
    (output / "a.parquet").mkdir(parents=True)
    (output / "b.parquet").symlink_to(tmp_path / "nothing")
    plan = dry_run_parquet(source, output, scorer)
    result = score_parquet(source, str(output), scorer)
    assert [file.error for file in plan.files] == [file.error for file in result.files]
    assert all("did not write it" in str(file.error) for file in result.files)


def test_a_file_that_took_the_place_of_an_orphan_is_kept(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet", "b.parquet"), tmp_path / "out"
    score_parquet(source, str(output), scorer)
    (tmp_path / "in" / "b.parquet").unlink()
    pq.write_table(pa.table({"mine": [1]}), output / "b.parquet")
    result = score_parquet(source, str(output), scorer, selection=Selection(prune=True))
    assert (result.orphans, result.pruned) == ((), ())
    assert pq.read_schema(output / "b.parquet").names == ["mine"]


def test_a_manifest_of_other_bytes_is_foreign(tmp_path: Path, scorer: Scorer) -> None:
    source, output = write(tmp_path / "in", "a.parquet"), tmp_path / "out"
    output.mkdir()
    (output / "_MANIFEST.json").write_bytes(b"\xff\xfe")
    with pytest.raises(OutputExistsError, match="did not write"):
        score_parquet(source, str(output), scorer)
