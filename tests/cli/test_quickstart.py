from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imdb_classifier.cli import flow_calls, quickstart
from imdb_classifier.errors import MissingExtraError
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry, bundled_path
from tests.extras import needs


@needs("prefect", "flows")
def test_without_reviews_the_gate_refuses_tiny_and_the_bundled_model_scores(
    tmp_path: Path,
) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("IMDB_CLASSIFIER_", "PREFECT_"))
    }
    folder = tmp_path / "quickstart"
    ran = subprocess.run(
        [sys.executable, "-m", "imdb_classifier", "quickstart", "--folder", str(folder)],
        env=environment | {"COLUMNS": "100", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "IMDB_CLASSIFIER_DATA is not set" in ran.stderr
    assert "NotPromoted" in ran.stderr
    # Prefect and the command line do not print the same lines twice.
    assert ran.stderr.count("epoch 1/") == 1

    registry = Registry.at(folder / "registry")
    assert list(registry.aliases()) == ["challenger"]
    champion = registry.load(CHAMPION)
    assert champion.path == bundled_path()
    assert f"scored by {champion.model_id}" in ran.stdout
    assert str(folder / "registry" / "reports") in ran.stdout
    (scored,) = (folder / "scored" / "sample").glob("*.parquet")
    assert pq.read_table(scored)["sentiment_label"].null_count == 0
    # Nothing is written outside the folder.
    assert not (tmp_path / ".prefect").exists()


def test_prefect_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("imdb_classifier.tasks")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("imdb_classifier.tasks", raising=False)
    monkeypatch.setitem(sys.modules, "prefect", None)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for call in (
        lambda: quickstart.run(tmp_path / "quickstart"),
        lambda: flow_calls.serve(None, None, None),
        lambda: flow_calls.score_by_flow(source="in", output="out"),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'imdb-classifier\[flows\]'"):
            call()
