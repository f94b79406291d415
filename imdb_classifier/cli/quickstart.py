"""The command `quickstart`: runs the training and scoring flows once and shows the result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.cli.console import err, hide_log, out, table
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.reviews.sources import DATA_VARIABLE
from imdb_classifier.samples import FOLDER as SAMPLES
from imdb_classifier.schema import DEFAULT_PREFIX, TEXT, scored_fields

_WIDEST: Final = 120
"""Width of the table of texts, at most."""


def run(folder: Path) -> None:
    """Train and evaluate a model and score reviews through the Prefect flows; print the result.

    Args:
        folder: For the registry, the report, the scored files and, if ``PREFECT_API_URL`` is not
            set, Prefect's data.

    Raises:
        MissingExtraError: Prefect is not installed.
        ImdbClassifierError: A flow failed with this error.
    """
    registry, output = folder / "registry", folder / "scored"
    reviews = os.environ.get(DATA_VARIABLE)
    if reviews:
        training = {"recipe": "seed"}
        _say(f"{DATA_VARIABLE} is set: training recipe 'seed' on the IMDB reviews (a few minutes).")
    else:
        training = {"recipe": "tiny", "data": str(SAMPLES)}
        _say(
            f"{DATA_VARIABLE} is not set: training recipe 'tiny' on the bundled sample reviews "
            "instead. This shows every step, but the new model will not replace the bundled one."
        )
    inputs = {"sample": str(SAMPLES / "test-*.parquet")}
    if reviews and any(Path(reviews).glob("test-*.parquet")):
        inputs["imdb"] = str(Path(reviews) / "test-*.parquet")
    if not os.environ.get("PREFECT_API_URL"):
        # Prefect reads PREFECT_HOME on import; its temporary server keeps its data there.
        os.environ.setdefault("PREFECT_HOME", str((folder / "prefect").resolve()))
        Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    from imdb_classifier import tasks  # first, because its error names the missing package
    from imdb_classifier.flows.score import score_parquet
    from imdb_classifier.flows.train import train_imdb

    runs: list[tuple[Any, dict[str, str]]] = [(train_imdb, training)]
    runs += [
        (
            score_parquet,
            {"source": source, "output": str(output / name), "only": "new,stale"},
        )
        for name, source in inputs.items()
    ]
    hide_log()
    for flow, parameters in runs:
        state = tasks.call_flow(flow, registry=str(registry), **parameters)
        if not state.is_completed():
            raise state.result(raise_on_failure=False)
        out.print(state.message or "", soft_wrap=True)
    _show_result(Registry.at(registry), output)


def _show_result(registry: Registry, output: Path) -> None:
    label, probability = (field.name for field in scored_fields(DEFAULT_PREFIX))
    (scored,) = (output / "sample").glob("*.parquet")
    rows: pa.Table = pq.read_table(scored).slice(0, 8)
    shown = table(f"Scored by {registry.load(CHAMPION).model_id}", "label", "#probability", TEXT)
    text_column = shown.columns[-1]
    text_column.no_wrap, text_column.overflow = True, "ellipsis"
    text_column.max_width = max(min(out.console.width, _WIDEST) - 32, 20)
    columns = (rows[column].to_pylist() for column in (label, probability, TEXT))
    for name, value, text in zip(*columns, strict=True):
        shown.add_row(name, f"{value:.3f}", text)
    out.print(shown)
    challenger = registry.aliases()["challenger"]
    evaluation = registry.load("@challenger").evaluation or {}
    folder = registry.report_folder(challenger, evaluation["data"]["fingerprint"])
    report = f"{folder}/report.html"
    out.print(f"Report of {challenger}: {report}", soft_wrap=True)
    out.print(f"Scored files: {output}", soft_wrap=True)


def _say(text: str) -> None:
    err.print(text, style="bold")
