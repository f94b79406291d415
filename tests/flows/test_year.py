"""A few weeks of the year that `benchmarks.year` plays, with everything that happens in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.year import Event, play, table
from imdb_classifier.registry.versions import Registry

WEEKS: dict[int, list[Event]] = {
    1: ["labeled"],
    2: ["bad file", "drift", "wrong labels"],
    3: ["killed worker", "server restart", "removed labels", "rollback", "promotion"],
}


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
    # However long the server takes to start again.
    patient = {"PREFECT_CLIENT_MAX_RETRIES": "8"}
    played = play(WEEKS, len(WEEKS), tmp_path, keep=1, settings=patient)
    assert played["problems"] == []
    assert [row["nights"] for row in played["timeline"]] == [
        ["Completed"],
        ["Failed", "Completed"],
        ["Crashed", "Completed"],
    ]
    assert [row["training"].split(":")[0] for row in played["timeline"]] == [
        "promoted",
        "refused",
        "nothing new to learn",
    ]
    champions = {row["champion"] for row in played["timeline"]}
    assert len(champions) == 1
    assert played["left"]["decisions"] == {"promoted": 2, "refused": 1, "rolled back": 1}
    assert played["left"]["verified"] == 3
    # The bundled model, the champion and the challenger.
    assert played["left"]["versions"] == 3
    assert old not in Registry.at(tmp_path / "registry").ids()
    assert played["left"]["bytes_per_run"] > played["left"]["bytes_per_run_without_events"] > 0
    assert "| 3 | worker killed" in table(played)
