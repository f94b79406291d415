from __future__ import annotations

import pytest

from imdb_classifier.samples import FOLDER
from tests.command_line import Run


def test_data_says_what_is_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMDB_CLASSIFIER_DATA", str(FOLDER))
    sources = run("data", "--json").json["sources"]
    assert [(source["source"], source["state"]) for source in sources] == [
        ("IMDB_CLASSIFIER_DATA", "configured"),
        ("keras", "missing"),
        ("aclimdb", "missing"),
    ]
