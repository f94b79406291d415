"""A year of nightly scoring and weekly training, played in about an hour.

``python -m benchmarks.year`` plays 52 weeks on a Prefect server, a worker and a registry of its
own, and checks what is left in the end. It writes JSON to ``build/year.json`` and prints a table;
the documentation shows the copy in this folder.

What is compressed: runs are started one after the other, not by their schedules; a week has one or
two nights; models are of the recipe ``tiny``; a night has a few hundred reviews, of invented words.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import click

from benchmarks.conditions import conditions
from benchmarks.table import markdown_table, progress

RESULT: Final = Path("build/year.json")
WEEKS: Final = 52
KEEP: Final = 5
"""How many of the newest versions training keeps."""
Event = Literal[
    "labeled", "wrong labels", "removed labels", "drift", "bad file", "killed worker",
    "server restart", "rollback", "promotion",
]  # fmt: skip
EVENTS: Final[Mapping[int, Sequence[Event]]] = {
    **{week: ["labeled"] for week in (1, 7, 13, 18, 27, 33, 41, 49)},
    3: ["bad file"],
    11: ["drift"],
    20: ["wrong labels"],
    21: ["removed labels"],
    24: ["killed worker"],
    31: ["server restart"],
    36: ["rollback"],
    38: ["promotion"],
    43: ["drift"],
    47: ["bad file"],
}
"""What happens besides the usual, by week."""
TOLD: Final[Mapping[Event, str]] = {
    "labeled": "new labeled reviews",
    "wrong labels": "new labeled reviews, with positive and negative swapped",
    "removed labels": "these removed",
    "drift": "reviews of another kind",
    "bad file": "a file that is not Parquet; replaced before the second night",
    "killed worker": "worker killed (SIGKILL) during the first night",
    "server restart": "Prefect server restarted during the last night",
    "rollback": "rolled back by hand",
    "promotion": "previous champion promoted by hand",
}


def play(
    events: Mapping[int, Sequence[Event]],
    weeks: int,
    folder: Path,
    keep: int = KEEP,
) -> dict[str, Any]:
    """Play some weeks, and check what is left.

    Args:
        events: What happens besides the usual, by week, counted from 1.
        weeks: Number of weeks.
        folder: An empty folder, or one with a registry in it.
        keep: How many of the newest versions training keeps.

    Returns:
        timeline (a row for each week), left (figures), problems (sentences; none if all is well),
        and minutes.
    """
    # Here, because they need pytest, and the documentation needs only the table.
    from benchmarks.year_operation import operating
    from benchmarks.year_weeks import Weeks

    started = time.monotonic()
    database = folder / "prefect" / "prefect.db"
    with operating(folder, keep) as operation:
        before = _sizes(database)
        played = Weeks(operation, sum("labeled" in some for some in events.values()))
        for week in range(1, weeks + 1):
            played.play(week, events.get(week, ()))
            progress(**played.timeline[-1])
        left = played.left()
    after = _sizes(database)
    per_run, without_events = (
        round((new - old) / left["runs"]) for new, old in zip(after, before, strict=True)
    )
    left["database_bytes"] = after[0]
    left["bytes_per_run"], left["bytes_per_run_without_events"] = per_run, without_events
    minutes = round((time.monotonic() - started) / 60, 1)
    return {
        "timeline": played.timeline,
        "left": left,
        "problems": played.problems,
        "minutes": minutes,
    }


def _sizes(database: Path) -> tuple[int, int]:
    """Return the bytes of a compact copy of a database, with and without events."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        _execute(database, f"VACUUM INTO '{copy}'")
        size = copy.stat().st_size
        _execute(copy, "DELETE FROM event_resources", "DELETE FROM events", "VACUUM")
        return size, copy.stat().st_size


def _execute(database: Path, *statements: str) -> None:
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def table(figures: Mapping[str, Any]) -> str:
    """Return the weeks in which something happened as a Markdown table."""
    return markdown_table(
        [
            {
                "week": row["week"],
                "what happened": "; ".join(TOLD[event] for event in row["events"]),
                "nights": ", ".join(row["nights"]),
                "training": row["training"],
                "champion": f"`{row['champion']}`",
            }
            for row in figures["timeline"]
            if row["events"]
        ]
    )


@click.command
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="An empty folder to keep everything in. Default: none kept.",
)
def main(folder: Path | None) -> None:
    """Play the year, write the figures as JSON, and print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        played = play(EVENTS, WEEKS, folder or Path(temporary))
    figures = {"measured": conditions(), "prefect": version("prefect"), **played}
    print(table(figures))
    if played["problems"]:
        raise SystemExit("\n".join(played["problems"]))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
