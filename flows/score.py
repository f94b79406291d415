"""The flow `score-parquet`: a sentiment label and a probability next to each text."""

from __future__ import annotations

import sys
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from imdb_classifier import tasks


# One unit at a time: a scorer works on all cores by itself.
@flow(
    name="score-parquet",
    flow_run_name="score {source} with {model}",
    task_runner=ThreadPoolTaskRunner(max_workers=1),  # type: ignore[arg-type]  # its type is too narrow
    persist_result=False,
)
def score_parquet(
    source: str,
    output: str,
    model: str = "@champion",
    text_column: str = "text",
    prefix: str = "sentiment_",
    registry: str | None = None,
    force: bool = False,
) -> State[Any]:
    """Write a sentiment label and a probability next to each text of Parquet files.

    Outputs that are finished and still fit are kept. Where a file cannot be scored, the others are,
    and the run fails; started again, it goes on with what is missing.

    Args:
        source: A Parquet file, a folder of them, or a pattern such as reviews/**/*.parquet.
        output: The file or folder to write.
        model: @champion, @challenger, @previous, a version's id, or a bundle's path.
        text_column: The column that holds the text.
        prefix: Begins the new columns' names.
        registry: Folder of the models. Default: IMDB_CLASSIFIER_REGISTRY, else the user's own.
        force: Replace outputs that an older model or input gave.
    """
    resolved = tasks.resolve_model(model, registry)
    plan = tasks.plan_scoring(source, output)
    units = plan.pop("units")
    futures = [
        tasks.score_files.submit(unit, plan, resolved, text_column, prefix, force) for unit in units
    ]
    results = [future.result() for future in futures]
    committed = tasks.commit_scores(output, plan, resolved, results, text_column, prefix)
    totals = committed["totals"]
    message = (
        f"{totals['rows']:,} rows in {totals['files']:,} files scored by {committed['model_id']}: "
        f"{totals['positive']:,} positive, {totals['negative']:,} negative, "
        f"{totals['without_text']:,} without text."
    )
    return Completed(message=message, data=committed)


if __name__ == "__main__":
    sys.exit(tasks.run_as_command(score_parquet, "score"))
