from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.flows import load_flow_from_entrypoint

from imdb_classifier import tasks
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path


@pytest.fixture(scope="module")
def score(server: Any) -> Any:
    return load_flow_from_entrypoint(f"{server.checkout / 'flows' / 'score.py'}:score_parquet")


def test_a_flow_file_is_a_program(server: Any, reviews: Path, tmp_path: Path) -> None:
    script = str(server.checkout / "flows" / "score.py")
    options = ["--source", "reviews", "--output", "scored", "--registry", "none"]
    done = server.run([script, *options], tmp_path)
    assert done.returncode == 75
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: Every file of the input must be scored. 1 of 3 were not: ")
    assert (tmp_path / "scored" / "day=2026-11-01" / "a.parquet").exists()
    runs = server.filter("flow_runs", sort="START_TIME_DESC", limit=1)
    bundled = load_bundle(bundled_path()).model_id
    assert runs[0]["name"] == f"score reviews with {bundled}"
    assert sorted(runs[0]["tags"]) == sorted(["score", bundled])


def test_exit_codes(
    score: Any, server: Any, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--output", str(tmp_path / "scored"), "--registry", str(tmp_path / "none")]
    good = reviews / "day=2026-11-01"
    assert tasks.run_as_command(score, ["--source", str(good), *options]) == 0
    assert capsys.readouterr().out.startswith("3 rows in 1 files scored by production-")
    for source, more, code in (
        (tmp_path / "nothing", [], 66),
        (reviews / "day=2026-11-02" / "b.parquet", [], 65),
        (reviews, ["--model", "@previous"], 66),
        (good, ["--drift-limits", '{"colour": 1}'], 78),
    ):
        arguments = ["--source", str(source), *options, *more]
        assert tasks.run_as_command(score, arguments) == code
        assert "Error: " in capsys.readouterr().err


def test_options_are_the_parameters(score: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        tasks.run_as_command(score, ["--help"])
    usage = capsys.readouterr().out
    assert usage.index("Write a sentiment label and a probability") > 0
    for name in ("source", "output", "model", "text-column", "prefix", "registry", "only"):
        assert f"--{name}" in usage
    with pytest.raises(SystemExit, match="2"):
        tasks.run_as_command(score, ["--output", "scored"])
    assert "the following arguments are required: --source" in capsys.readouterr().err
