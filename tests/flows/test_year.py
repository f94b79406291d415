"""A week of the year that `benchmarks.year` plays, with much of what happens in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.year import Event, play, table
from imdb_classifier.registry.versions import Registry

EVENTS: list[Event] = ["labeled", "bad file", "drift", "rollback", "promotion"]


@pytest.fixture
def old(tmp_path: Path) -> str:
    """The id of a refused version of an earlier year."""
    registry, old = Registry.at(tmp_path / "registry"), "tiny-000000000000"
    bundle, report = tmp_path / "registry" / "versions" / old, registry.report_folder(old, "data")
    for folder in (bundle, Path(report)):
        folder.mkdir(parents=True)
    manifest = {"model_id": old, "created_at": "2020-01-01T03:00:00+00:00"}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (bundle / "SHA256SUMS").touch()
    registry.record(old, {"promote": False})
    assert registry.ids() == [old]
    return old


def test_a_year_in_short(old: str, tmp_path: Path) -> None:
    played = play({1: EVENTS}, 1, tmp_path, keep=1)
    assert played["problems"] == []
    (week,) = played["timeline"]
    assert week["nights"] == ["Failed", "Completed"]
    assert week["training"].startswith("promoted: ")
    registry = Registry.at(tmp_path / "registry")
    assert week["champion"] == registry.aliases()["challenger"]
    assert played["left"]["decisions"] == {"promoted": 2, "rolled back": 1}
    assert played["left"]["verified"] == 1
    # The bundled model, and the champion.
    assert played["left"]["versions"] == 2
    assert old not in registry.ids()
    assert played["left"]["bytes_per_run"] > played["left"]["bytes_per_run_without_events"] > 0
    assert "| 1 | new labeled reviews; a file that is not Parquet" in table(played)
