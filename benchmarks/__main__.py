"""``make bench``: speed, start-up and memory, measured in one run on an otherwise idle machine.

Writes JSON to ``build/bench.json`` and tables to standard output. The documentation shows the copy
in this folder, ``results.json``.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks import memory, scoring, startup, wide
from benchmarks.conditions import conditions
from benchmarks.table import markdown_table
from imdb_classifier.registry.access import REGISTRY_VARIABLE

RESULT = Path("build/bench.json")
SIZES = (10_000, 100_000, 1_000_000, 2_000_000)


@click.command
@click.option("--rounds", default=3, help="Number of measurements per contender.")
@click.option("--sizes/--no-sizes", default=True, help="Also measure memory for several sizes.")
def main(rounds: int, sizes: bool) -> None:
    """Run the benchmarks, write the figures as JSON, and print them as Markdown."""
    with tempfile.TemporaryDirectory() as registry:
        # In an empty registry, the champion is the bundled model.
        os.environ[REGISTRY_VARIABLE] = registry
        results = _measure(rounds, sizes)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print("\n\n".join(tables(results).values()))


def _measure(rounds: int, sizes: bool) -> dict[str, Any]:
    results: dict[str, Any] = {
        "measured": conditions(),
        "scoring": scoring.measure(rounds),
        "start_up": startup.measure(5),
        "wide": wide.measure(rounds),
    }
    if sizes:
        results["memory"] = memory.measure(SIZES)
    return results


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the results as Markdown tables, by name: contenders, parts, start_up, wide, memory."""
    figures = results["scoring"]
    contenders = [
        {
            "from Parquet to Parquet": row["name"],
            "reviews/s": row["reviews_per_second"],
            "speed-up over the tutorial": row["times_the_tutorial"],
            "accuracy": "" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %",
            "": row["remark"],
        }
        for row in figures["contenders"]
    ]
    parts = [
        {"one part alone, all cores": name, "reviews/s": rate}
        for name, rate in (figures["parts"] | {"limit of the LSTM": figures["limit"]}).items()
    ]
    process = "a fresh process"
    start_up = [
        # Elsewhere than in code, typography makes a dash of the hyphens in front of an option.
        {**row, process: re.sub(r"\S+ --\w+", r"`\g<0>`", row[process])}
        for row in results["start_up"]
    ]
    rows = {"contenders": contenders, "parts": parts, "start_up": start_up}
    if "memory" in results:
        rows["memory"] = results["memory"]
    if "wide" in results:
        rows["wide"] = results["wide"]["tables"]
    return {name: markdown_table(table) for name, table in rows.items()}


if __name__ == "__main__":
    main()
