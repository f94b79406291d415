"""A few weeks of the year that `benchmarks.year` plays, with everything that happens in it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.year import Event, play, table

WEEKS: dict[int, list[Event]] = {
    1: ["labeled"],
    2: ["bad file", "drift", "wrong labels"],
    3: ["killed worker", "removed labels", "labeled"],
    4: ["server restart", "rollback", "promotion"],
}


def test_a_year_in_short(tmp_path: Path) -> None:
    # However long the server takes to start again.
    played = play(WEEKS, len(WEEKS), tmp_path, {"PREFECT_CLIENT_MAX_RETRIES": "8"})
    assert played["problems"] == []
    assert [row["nights"] for row in played["timeline"]] == [
        ["Completed"],
        ["Failed", "Completed"],
        ["Crashed", "Completed"],
        ["Completed"],
    ]
    assert [row["training"].split(":")[0] for row in played["timeline"]] == [
        "promoted",
        "refused",
        "promoted",
        "nothing new to learn",
    ]
    first, second, third, fourth = (row["champion"] for row in played["timeline"])
    assert first == second != third == fourth
    assert played["left"]["decisions"] == {"promoted": 3, "refused": 1, "rolled back": 1}
    assert played["left"]["verified"] == 4
    assert played["left"]["bytes_per_run"] > played["left"]["bytes_per_run_without_events"] > 0
    assert "| 3 | worker killed" in table(played)
