from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from tests.command_line import SAMPLE, Run, write_reviews


def test_score_puts_a_table_on_standard_output(run: Run, tmp_path: Path) -> None:
    outcome = run("score", SAMPLE, tmp_path / "scored.parquet")
    assert outcome.code == 0
    cells = [line.replace("\u2502", " ").split() for line in outcome.out.splitlines()]
    assert ["scored", "86", "31", "55", "0"] in [row[-5:] for row in cells]
    assert outcome.err.startswith("Input drift: ")
    assert "lengths +" in outcome.err
    scored = pq.read_table(tmp_path / "scored.parquet")
    assert scored.column_names[-2:] == ["sentiment_label", "sentiment_probability"]


@pytest.mark.covers("score --json")
def test_json_is_the_only_thing_on_standard_output(run: Run, tmp_path: Path) -> None:
    outcome = run("score", FOLDER, tmp_path / "scored", "--json")
    assert outcome.code == 0
    assert outcome.json["totals"]["rows"] == 264
    assert [file["status"] for file in outcome.json["files"]] == ["scored", "scored"]
    assert (tmp_path / "scored" / "_SUCCESS").exists()
    drift = json.loads((tmp_path / "scored" / "_DRIFT.json").read_text())
    assert drift == outcome.json["drift"] == outcome.json["output_drift"]
    assert (drift["rows"], drift["batch"]["without_text"]) == (264, 0)


def test_ignored_files_are_named_by_the_dry_run_and_the_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLE, tmp_path / "in" / "a.parquet")
    shutil.copy(SAMPLE, tmp_path / "in" / "part-00000")
    for command in ("plan", "score"):
        outcome = run(command, tmp_path / "in", tmp_path / "out")
        assert outcome.code == 0
        assert "1 file ignored: part-00000 (does not end in .parquet, .parq or .pq" in outcome.err
        as_json = run(command, tmp_path / "in", tmp_path / "out", "--json").json
        assert [file["name"] for file in as_json["ignored"]] == ["part-00000"]


@pytest.mark.covers("score --drift-limit")
def test_limits_of_drift(run: Run, tmp_path: Path) -> None:
    limits = ("lengths=9", "scores=9", "positive=1", "truncated=1")
    options = [part for limit in limits for part in ("--drift-limit", limit)]
    outcome = run("score", FOLDER, tmp_path / "scored", *options)
    assert (outcome.code, outcome.err) == (0, "")
    assert run("score", FOLDER, tmp_path / "scored", "--drift-limit", "colour=1").code == 78
    assert run("score", FOLDER, tmp_path / "scored", "--drift-limit", "scores").code == 2


@pytest.mark.parametrize("command", ["score", "plan"])
def test_a_pattern_that_the_shell_expanded(run: Run, command: str) -> None:
    done = run(command, "a.parquet", "b.parquet", "c.parquet", "scored")
    assert done.code == 2
    message = " ".join(done.err.replace("│", "").split())
    assert "received 4 arguments. Quote a pattern such as '*.parquet'" in message


@pytest.mark.covers("score --text-column", "score --prefix")
def test_score_takes_column_and_prefix(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"body": ["A wonderful film", None]}), source)
    target = tmp_path / "out.parquet"
    assert run("score", source, target, "--text-column", "body", "--prefix", "mood_").code == 0
    scored = pq.read_table(target)
    assert scored.column_names == ["body", "mood_label", "mood_probability"]
    assert scored["mood_label"].null_count == 1


@pytest.mark.covers("score --on-null")
@pytest.mark.parametrize(("on_null", "code", "rows"), [("skip", 0, [2]), ("error", 65, [])])
def test_rows_without_text(
    run: Run, reviews: Path, tmp_path: Path, on_null: str, code: int, rows: list[int]
) -> None:
    assert run("score", reviews, tmp_path / "out", "--on-null", on_null).code == code
    scored = (tmp_path / "out").glob("*.parquet")
    assert [pq.read_metadata(file).num_rows for file in scored] == rows


@pytest.mark.covers("score --quarantine")
def test_what_could_not_be_scored_is_listed(run: Run, reviews: Path, tmp_path: Path) -> None:
    assert run("score", reviews, tmp_path / "out", "--quarantine").code == 0
    listed = tmp_path / "out" / "_quarantine" / "a_parquet.csv"
    assert listed.read_text() == 'file,row,reason\n"a.parquet",2,"text is null"\n'


@pytest.mark.covers("score --columns")
def test_only_chosen_columns_are_written(run: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table({"text": ["A wonderful film."], "stars": [5], "a, b": [1], "id": [7]})
    pq.write_table(table, source)
    assert run("score", source, target, "--columns", 'id, stars,"a, b"').code == 0
    assert pq.read_table(target).column_names == [
        "stars", "a, b", "id", "sentiment_label", "sentiment_probability",
    ]  # fmt: skip
    outcome = run("verify", target)
    assert outcome.code == 0
    assert outcome.err == (
        "Scores not checked: 1 file without the text column. Name the input: --input.\n"
    )
    assert run("verify", target, "--input", source).err == ""
    for columns, code in (("star", 65), ("id,id", 78), ("", 78)):
        assert run("score", source, tmp_path / "no.parquet", "--columns", columns).code == code


@pytest.mark.covers("score --only", "score --force")
def test_which_files_are_scored(run: Run, reviews: Path, tmp_path: Path) -> None:
    def statuses(*options: str) -> list[str]:
        outcome = run("score", reviews, tmp_path / "out", "--json", *options)
        return [file["status"] for file in outcome.json["files"]]

    assert statuses() == ["scored"]
    assert statuses("--force") == ["scored"]
    assert statuses() == ["reused"]
    write_reviews(reviews / "a.parquet", ["Another."])
    write_reviews(reviews / "b.parquet", ["One more."])
    assert statuses("--only", "new") == ["outdated", "scored"]
    assert statuses("--only", "stale") == ["scored", "reused"]


@pytest.mark.covers("score --deadline")
def test_a_deadline_ends_a_run(run: Run, reviews: Path, tmp_path: Path) -> None:
    outcome = run("score", reviews, tmp_path / "out", "--deadline", "1us", "--json")
    assert outcome.code == 75
    assert outcome.json["totals"]["pending"] == 1
    assert "Stopped early: 1 file pending. Rerun to continue." in outcome.err


@pytest.mark.covers("score --max-bad-files")
def test_too_many_bad_files_end_a_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    # More than are under way at once.
    for number in range(2 * (os.cpu_count() or 1) + 2):
        (tmp_path / "in" / f"{number}.parquet").write_bytes(b"no parquet")
    outcome = run("score", tmp_path / "in", tmp_path / "out", "--max-bad-files", "0", "--json")
    assert outcome.code == 75
    assert outcome.json["totals"]["failed"] >= 1
    assert outcome.json["totals"]["pending"] >= 1


@pytest.mark.covers("score --accept-bad-files")
def test_bad_files_can_be_accepted(run: Run, reviews: Path, tmp_path: Path) -> None:
    (reviews / "bad.parquet").write_bytes(b"no parquet")
    outcome = run("score", reviews, tmp_path / "out", "--accept-bad-files", "1")
    assert outcome.code == 0
    assert "bad.parquet must be a readable Parquet file" in outcome.err
    assert (tmp_path / "out" / "_SUCCESS").exists()


@pytest.mark.covers("score --prune")
def test_outputs_without_an_input_can_be_deleted(run: Run, reviews: Path, tmp_path: Path) -> None:
    write_reviews(reviews / "b.parquet", ["One more."])
    run("score", reviews, tmp_path / "out")
    (reviews / "b.parquet").unlink()
    outcome = run("score", reviews, tmp_path / "out", "--prune")
    assert outcome.code == 0
    assert outcome.err.startswith("1 output without an input deleted: b.parquet.")
    assert not (tmp_path / "out" / "b.parquet").exists()


@pytest.mark.covers("score --model")
def test_another_model_scores(run: Run, reviews: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    command = ("score", reviews, tmp_path / "out", "--model", tiny_bundle.path, "--json")
    assert run(*command).json["model_id"] == tiny_bundle.model_id


@pytest.mark.covers("score --registry")
def test_the_champion_of_another_registry_scores(
    run: Run, reviews: Path, other_registry: Registry, tmp_path: Path
) -> None:
    command = ("score", reviews, tmp_path / "out", "--registry", other_registry.root, "--json")
    assert run(*command).json["model_id"] == other_registry.aliases()["champion"]


def test_one_bad_file_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(FOLDER, source, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    (source / "broken.parquet").write_bytes(b"PAR1 no parquet PAR1")
    outcome = run("score", source, tmp_path / "out", "--json")
    assert outcome.code == 75
    assert outcome.json["totals"]["failed"] == 1
    assert "broken.parquet" in outcome.err
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    (source / "broken.parquet").unlink()
    outcome = run("score", source, tmp_path / "out", "--json")
    assert outcome.code == 0
    assert [file["status"] for file in outcome.json["files"]] == ["reused", "reused"]


def test_a_damaged_bundle_is_refused(run: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "bundle"
    shutil.copytree(tiny_bundle.path, damaged)
    model = bytearray((damaged / "model.onnx").read_bytes())
    model[1000] ^= 1
    (damaged / "model.onnx").write_bytes(model)
    outcome = run("score", SAMPLE, tmp_path / "out.parquet", "--model", damaged)
    assert outcome.code == 65
    assert "model.onnx does not match its SHA-256 checksum" in outcome.err
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.covers("score --allow-unapproved")
def test_a_version_that_is_not_decided_does_not_score(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    command = ("score", SAMPLE, tmp_path / "out.parquet", "--model", "@challenger")
    outcome = run(*command)
    assert outcome.code == 78
    assert "or use it anyway with --allow-unapproved." in outcome.err
    assert not (tmp_path / "out.parquet").exists()
    assert run(*command, "--allow-unapproved").code == 0


def test_scoring_loads_no_heavy_package(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from imdb_classifier import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'tensorflow', 'keras', 'prefect', 'sklearn', 'matplotlib', 'jinja2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    arguments = ["score", str(SAMPLE), str(tmp_path / "out.parquet")]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)


@pytest.mark.covers(
    "score --threads",
    "plan --threads",
    "verify --threads",
    "evaluate --threads",
    "explain --threads",
    "score --engine",
    "plan --engine",
    "verify --engine",
    "evaluate --engine",
    "explain --engine",
)
def test_threads_and_engine_are_chosen_and_the_engine_is_named(
    run: Run, registry: Registry, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def pool(threads: int, **named: Any) -> ThreadPoolExecutor:
        started.append(threads)
        return ThreadPoolExecutor(threads, **named)

    monkeypatch.setattr("imdb_classifier.scoring.scorer.ThreadPoolExecutor", pool)
    model = ("--model", "@challenger")
    options = ("--threads", "3", "--engine", "onnx")
    files = (reviews, tmp_path / "out", *model, "--allow-unapproved", *options)
    engines = [
        run("plan", *files, "--json").json["engine"],
        *run("score", *files, "--json").json["engines"],
        run("verify", tmp_path / "out", *model, *options, "--json").json["engine"],
        run("evaluate", *model, *options, "--data", FOLDER, "--json").json["engine"],
        run("explain", "A fine film.", *model, *options, "--json").json["engine"],
    ]
    assert engines == ["onnx"] * 5
    assert started == [3] * 5
    assert "(onnx engine)" in " ".join(run("score", *files, "--force").out.split())
    assert run("score", *files, "--threads", "0").code == 2
