"""``make soak``: kill runs at many more random moments than the tests do.

Writes JSON to ``build/soak.json``; the documentation shows the copy in the folder ``benchmarks``.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from benchmarks.conditions import conditions
from imdb_classifier.scoring.scorer import Scorer
from tests.faults.test_faults import (
    FILES,
    OPTIONS,
    OTHERS,
    ROWS,
    kill_at_random_moments,
    write_source,
)

RESULT = Path("build/soak.json")


@click.command
@click.option("--kills", type=click.IntRange(min=10), default=1_000, help="How many runs to kill.")
def main(kills: int) -> None:
    """Kill runs, check what each leaves, and write what happened as JSON."""
    # As many for each way to write a copy as in the tests.
    others = kills // (10 + len(OTHERS))
    counts = {"copied": kills - others * len(OTHERS), "columns": others, "skip": others}
    measured = conditions()
    with tempfile.TemporaryDirectory() as temporary, Scorer.load("@champion") as scorer:
        folder = Path(temporary)
        source = write_source(folder / "in")
        ways = {}
        for (name, most), options in zip(counts.items(), (OPTIONS, *OTHERS), strict=True):
            ways[name] = kill_at_random_moments(source, scorer, folder / name, options, most)
            print(json.dumps({name: ways[name]}), flush=True)
    result = {"measured": measured, "files": FILES, "rows_per_file": ROWS, "ways": ways}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
