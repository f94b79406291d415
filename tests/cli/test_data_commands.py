from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imdb_classifier.samples import FOLDER
from tests.command_line import Run

# Imported here, for its logger keeps the standard error that it finds, which must not be a test's.
pytest.importorskip("pooch")


@pytest.mark.covers("data --json")
def test_data_says_what_is_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMDB_CLASSIFIER_DATA", str(FOLDER))
    sources = run("data", "--json").json["sources"]
    assert [(source["source"], source["state"]) for source in sources] == [
        ("IMDB_CLASSIFIER_DATA", "configured"),
        ("keras", "missing"),
        ("aclimdb", "missing"),
    ]


@pytest.mark.covers("data fetch SOURCE", "data fetch --json")
def test_what_is_in_the_cache_already_is_not_fetched(
    run: Run, publish: Callable[[Path, str], None], tmp_path: Path
) -> None:
    folder = tmp_path / "keras" / "datasets"
    folder.mkdir(parents=True)
    for file, name in (("imdb.npz", "KERAS_IDS"), ("imdb_word_index.json", "KERAS_WORDS")):
        (folder / file).write_text(file)
        publish(folder / file, name)
    fetched = run("data", "fetch", "keras", "--json").json
    assert fetched == {"source": "keras", "path": str(folder)}
