"""The dry run, compared with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.cli.console import with_options
from imdb_classifier.registry.versions import Registry
from tests.command_line import Run, write_reviews

BECOMES = {
    "new": "scored",
    "stale": "scored",
    "finished": "reused",
    "skipped": "skipped",
    "outdated": "outdated",
    "failing": "failed",
}
TEXTS = ["A fine film.", None, "  "]


@pytest.fixture
def folders(run: Run, tmp_path: Path) -> tuple[Path, Path]:
    """Files with every kind of output: none, finished, stale, somebody else's; and bad files."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    names = ("changed", "finished", "foreign", "new", "taken")
    for name in names:
        pq.write_table(pa.table({"text": TEXTS}), source / f"{name}.parquet")
    assert run("score", source, output).code == 0
    pq.write_table(pa.table({"text": ["Another."]}), source / "changed.parquet")
    (output / "new.parquet").unlink()
    (output / "foreign.parquet").write_bytes(b"somebody else's")
    pq.write_table(pa.table({"text": [1]}), source / "numbers.parquet")
    pq.write_table(pa.table({"body": TEXTS}), source / "lacks.parquet")
    named = pa.table({"text": TEXTS, "sentiment_label": TEXTS})
    pq.write_table(named, source / "named.parquet")
    pq.write_table(named, source / "taken.parquet")
    (source / "broken.parquet").write_bytes(b"PAR1 no parquet PAR1")
    return source, output


@pytest.mark.parametrize(
    ("options", "statuses"),
    [
        ([], {"new": 1, "finished": 1, "failing": 7}),
        (["--only", "new"], {"new": 1, "finished": 1, "outdated": 2, "failing": 5}),
        (["--only", "stale"], {"stale": 1, "finished": 1, "skipped": 5, "failing": 2}),
        (["--only", "new,stale"], {"new": 1, "stale": 1, "finished": 1, "failing": 6}),
        (["--force"], {"new": 1, "stale": 2, "failing": 6}),
        (["--on-null", "skip", "--force"], {"new": 1, "stale": 2, "failing": 6}),
        (["--on-null", "skip"], {"new": 1, "failing": 8}),
        (["--quarantine", "--only", "new,stale"], {"new": 1, "stale": 2, "failing": 6}),
        (["--prefix", "mood_", "--only", "new,stale"], {"new": 2, "stale": 3, "failing": 4}),
        (["--text-column", "body", "--only", "new"], {"new": 1, "outdated": 3, "failing": 5}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_plan_shows_is_what_score_does(
    run: Run, folders: tuple[Path, Path], options: list[str], statuses: dict[str, int]
) -> None:
    planned = run("plan", *folders, *options, "--json")
    scored = run("score", *folders, *options, "--json")
    assert planned.code == 0
    assert _statuses(planned.json) == statuses
    expected = [
        {"name": file["name"], "status": BECOMES[file["status"]], "error": file["error"]}
        for file in planned.json["files"]
    ]
    done = [
        {name: file[name] for name in ("name", "status", "error")} for file in scored.json["files"]
    ]
    assert done == expected
    assert planned.json["totals"]["rows_to_score"] == sum(
        file["rows"] for file in scored.json["files"] if file["status"] == "scored"
    )
    for file in planned.json["files"]:
        assert with_options(file["error"] or "") in planned.err


def _statuses(found: Any) -> dict[str, int]:
    statuses = [file["status"] for file in found["files"]]
    return {status: statuses.count(status) for status in BECOMES if status in statuses}


def test_plan_refuses_what_score_refuses(
    run: Run, registry: Registry, folders: tuple[Path, Path]
) -> None:
    for *options, code in (
        ("--model", "@challenger", 78),
        ("--only", "old", 2),
        ("--model", "@nobody", 66),
    ):
        planned, scored = (run(name, *folders, *options) for name in ("plan", "score"))
        assert planned.code == scored.code == code
        assert planned.err == scored.err.replace("classifier score", "classifier plan")
    allowed = ["--model", "@challenger", "--allow-unapproved", "--only", "stale"]
    assert _statuses(run("plan", *folders, *allowed, "--json").json)["stale"] == 2


@pytest.mark.covers(
    "plan --at-least",
    "plan --columns",
    "plan --force",
    "plan --json",
    "plan --on-null",
    "plan --only",
    "plan --prefix",
    "plan --quarantine",
    "plan --unsure-label",
)
def test_options_decide_which_files_are_stale(run: Run, reviews: Path, tmp_path: Path) -> None:
    def statuses(*options: str) -> dict[str, int]:
        return _statuses(run("plan", reviews, tmp_path / "out", *options, "--json").json)

    assert run("score", reviews, tmp_path / "out").code == 0
    assert statuses() == {"finished": 1}
    assert statuses("--force") == {"stale": 1}
    for options in (
        ["--prefix", "mood_"], ["--on-null", "skip"], ["--quarantine"], ["--columns", "text"],
        ["--at-least", "0.9"],
    ):  # fmt: skip
        assert statuses(*options, "--only", "new,stale") == {"stale": 1}
    unsure = "--at-least", "0.9", "--unsure-label", "unsure"
    assert run("score", reviews, tmp_path / "out", *unsure, "--force").code == 0
    assert statuses(*unsure) == {"finished": 1}


@pytest.mark.covers("plan --text-column")
def test_text_in_another_column(run: Run, tmp_path: Path) -> None:
    write_reviews(tmp_path / "in.parquet", ["A wonderful film."], "body")
    command = ("plan", tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert _statuses(run(*command, "--text-column", "body", "--json").json) == {"new": 1}


@pytest.mark.covers("plan --model", "plan --registry", "plan --allow-unapproved")
def test_another_model(
    run: Run, reviews: Path, registry: Registry, other_registry: Registry, tmp_path: Path
) -> None:
    command = ("plan", reviews, tmp_path / "out", "--json")
    found = run(*command, "--registry", other_registry.root)
    assert found.json["model_id"] == other_registry.aliases()["champion"]
    found = run(*command, "--model", "@challenger", "--allow-unapproved")
    assert found.json["model_id"] == registry.aliases()["challenger"]
