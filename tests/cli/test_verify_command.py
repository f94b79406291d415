from __future__ import annotations

from pathlib import Path

import pytest

from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import Registry
from tests.command_line import Run, write_reviews


@pytest.fixture
def output(run: Run, reviews: Path, tmp_path: Path) -> Path:
    """What `score` made of the reviews with the bundled model."""
    assert run("score", reviews, tmp_path / "out").code == 0
    return tmp_path / "out"


@pytest.mark.covers("verify --rows", "verify --json")
def test_some_rows_are_scored_again(run: Run, output: Path) -> None:
    outcome = run("verify", output, "--rows", "2", "--json")
    assert outcome.code == 0
    assert (outcome.json["rows"], outcome.json["scored_again"]) == (3, 2)


@pytest.mark.covers("verify --input")
def test_the_input_of_a_single_file_is_compared_if_named(
    run: Run, output: Path, reviews: Path
) -> None:
    write_reviews(reviews / "a.parquet", ["Another."])
    assert run("verify", output / "a.parquet").code == 0
    outcome = run("verify", output / "a.parquet", "--input", reviews / "a.parquet", "--json")
    assert outcome.code == 65
    assert [problem["what"] for problem in outcome.json["problems"]] == [
        "Its input is no longer what was scored."
    ]


@pytest.mark.covers("verify --model")
def test_it_is_of_another_model_than_it_should_be(
    run: Run, output: Path, tiny_bundle: Bundle
) -> None:
    outcome = run("verify", output, "--model", tiny_bundle.path)
    assert outcome.code == 65
    assert "Another model scored it: " in outcome.out


@pytest.mark.covers("verify --registry")
def test_the_model_comes_from_another_registry(
    run: Run, reviews: Path, other_registry: Registry, tmp_path: Path
) -> None:
    registry = ("--registry", other_registry.root)
    assert run("score", reviews, tmp_path / "out", *registry).code == 0
    assert run("verify", tmp_path / "out", *registry).code == 0
    outcome = run("verify", tmp_path / "out")
    assert outcome.code == 66
    assert other_registry.aliases()["champion"] in outcome.err
