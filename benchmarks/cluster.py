"""The overhead of a unit of work on a Dask cluster, and the speed-up from a second worker.

``python -m benchmarks.cluster`` runs the scoring flow on its own Prefect server and Dask clusters,
all on this machine, with one thread per worker. Figures are medians. It writes JSON to
``build/cluster.json`` and tables to standard output; the documentation shows the copy of the JSON
in this folder.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from distributed import LocalCluster
from prefect import Flow, State, get_client
from prefect.flows import load_flow_from_entrypoint
from prefect.testing.utilities import prefect_test_harness

from benchmarks.__main__ import RESULT
from benchmarks.conditions import conditions
from benchmarks.reviews import is_real, write_reviews
from benchmarks.table import markdown_table, progress
from imdb_classifier.model.bundle import load_bundle
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.tasks.score_tasks import MAXIMUM_UNITS, UNIT_ROWS

FLOW = Path(__file__).parents[1] / "flows" / "score.py"
FILES = 4
"""Number of files with text, one unit of work each."""
ROUNDS = 3


def measure(rounds: int) -> dict[str, Any]:
    """Score 1 and 64 files without text, and files with text, with every runner in turn.

    Returns:
        measured (see `conditions.conditions`), model_id and text; of_units (runner, and seconds for
        one unit, for most units, and for each further unit: one, most, a_unit) and of_text (runner,
        seconds, times_one_worker).
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs = _inputs(Path(folder))
        own = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        cluster: Any = LocalCluster
        seconds: dict[tuple[str, str], list[float]] = {}
        with (
            prefect_test_harness(server_startup_timeout=240),
            cluster(n_workers=1, **own) as one,
            cluster(n_workers=2, **own) as two,
        ):
            runners = {
                "this process, all cores": {"runner": "local"},
                "Dask, 1 worker": {"runner": "dask", "scheduler": one.scheduler_address},
                "Dask, 2 workers": {"runner": "dask", "scheduler": two.scheduler_address},
            }
            for number in range(rounds + 1):
                for kind, source in inputs.items():
                    for name, parameters in runners.items():
                        took = _seconds(source, Path(folder), parameters)
                        progress(round=number, input=kind, runner=name, seconds=round(took, 2))
                        if number:  # the first round warms up
                            seconds.setdefault((kind, name), []).append(took)
    return _figures({key: median(values) for key, values in seconds.items()}, list(runners))


def _inputs(folder: Path) -> dict[str, Path]:
    without_text = pa.table({"text": pa.nulls(UNIT_ROWS, pa.string())})
    for kind, files in (("one", 1), ("most", MAXIMUM_UNITS), ("text", FILES)):
        (folder / kind).mkdir()
        for number in range(files):
            file = folder / kind / f"{number:02}.parquet"
            if kind == "text":
                write_reviews(file, UNIT_ROWS)
            else:
                pq.write_table(without_text, file)
    return {kind: folder / kind for kind in ("one", "most", "text")}


def _seconds(source: Path, folder: Path, parameters: Mapping[str, str]) -> float:
    """Return the run time of a flow run in seconds, as recorded by the server."""
    flow: Flow[..., State[Any]] = load_flow_from_entrypoint(f"{FLOW}:score_parquet")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        output, registry = f"{place}/scored", f"{place}/registry"
        state = flow(
            source=str(source), output=output, registry=registry, return_state=True, **parameters
        )
    assert state is not None
    if not state.is_completed():
        raise SystemExit(f"scoring failed: {state.message}")
    flow_run = state.state_details.flow_run_id
    assert flow_run is not None
    return get_client(sync_client=True).read_flow_run(flow_run).total_run_time.total_seconds()


def _figures(seconds: Mapping[tuple[str, str], float], runners: list[str]) -> dict[str, Any]:
    of_units = [
        {
            "runner": name,
            "one": round(seconds["one", name], 2),
            "most": round(seconds["most", name], 2),
            "a_unit": round(
                (seconds["most", name] - seconds["one", name]) / (MAXIMUM_UNITS - 1), 3
            ),
        }
        for name in runners
    ]
    of_text = [
        {
            "runner": name,
            "seconds": round(seconds["text", name], 1),
            "times_one_worker": round(seconds["text", runners[1]] / seconds["text", name], 2),
        }
        for name in runners
    ]
    return {
        "measured": conditions(),
        "model_id": load_bundle(bundled_path()).model_id,
        "text": "IMDB test split" if is_real() else "generated text",
        "of_units": of_units,
        "of_text": of_text,
    }


def tables(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the results as Markdown tables, by name: units and texts."""
    units = [
        {
            f"{UNIT_ROWS:,} rows without text per unit": row["runner"],
            "1 unit, s": row["one"],
            f"{MAXIMUM_UNITS} units, s": row["most"],
            "each further unit, s": row["a_unit"],
        }
        for row in results["of_units"]
    ]
    texts = [
        {
            f"{FILES} units of {UNIT_ROWS:,} reviews": row["runner"],
            "seconds": row["seconds"],
            "speed-up over 1 worker": row["times_one_worker"],
        }
        for row in results["of_text"]
    ]
    return {"units": markdown_table(units), "texts": markdown_table(texts)}


if __name__ == "__main__":
    results = measure(ROUNDS)
    file = RESULT.with_name("cluster.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print("\n\n".join(tables(results).values()))
