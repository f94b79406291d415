"""The flow `score-parquet`: a sentiment label and a probability next to each text."""

from __future__ import annotations

import sys
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from imdb_classifier import tasks
from imdb_classifier.batch.run import alone_in
from imdb_classifier.monitoring.drift import DriftLimits


@flow(name="score-parquet", flow_run_name="score {source} with {model}", persist_result=False)
def score_parquet(
    source: str,
    output: str,
    model: str = "@champion",
    text_column: str = "text",
    prefix: str = "sentiment_",
    on_null: Literal["label", "skip", "error"] = "label",
    quarantine: bool = False,
    registry: str | None = None,
    only: str | None = None,
    force: bool = False,
    deadline: str | None = None,
    max_bad_files: int | None = None,
    undecided: bool = False,
    drift_limits: dict[str, float] | None = None,
    runner: tasks.RunnerName = "local",
    scheduler: str | None = None,
) -> State[Any]:
    """Write a sentiment label and a probability next to each text of Parquet files.

    Outputs that are finished and still fit are kept. Where a file cannot be scored, the others are,
    and the run fails; started again, it goes on with what is missing. Two runs never write to one
    output: the later one fails.

    Args:
        source: A Parquet file, a folder of them, or a pattern such as ``reviews/**/*.parquet``.
        output: The file or folder to write.
        model: @champion, @challenger, @previous, a version's id, or a bundle's path.
        text_column: The column that holds the text.
        prefix: Begins the new columns' names.
        on_null: Rows whose text is null, empty or blank: label keeps them with nulls, skip leaves
            them out, error refuses the file.
        quarantine: List what could not be scored below _quarantine in the output.
        registry: Folder of the models. Default: IMDB_CLASSIFIER_REGISTRY, else the user's own.
        only: new, stale or new,stale: files without an output; files whose output an older model,
            input or options gave. Default: new, and an error where one is stale.
        force: Score all files anew; files that are not ours are never replaced.
        deadline: Such as 45m: what is finished by then stays, the rest is left for the next run.
        max_bad_files: A unit of work of which more files fail than this ends early.
        undecided: Score with a version even if it has not passed its decision.
        drift_limits: Limits of your own for how far the input may be from the reviews that the
            model was checked on: scores, lengths, positive, unknown_words, truncated, without_text.
        runner: Where units of work run: local, one at a time on all cores; process, one a core;
            dask, on the workers of a Dask cluster.
        scheduler: Address of that cluster's scheduler. Default: a cluster of this machine's cores.
    """
    options = {
        "text_column": text_column,
        "prefix": prefix,
        "on_null": on_null,
        "quarantine": quarantine,
    }
    # What would end the run later on ends it now.
    DriftLimits.of(drift_limits or {})
    pool = tasks.task_runner(runner, scheduler)
    resolved = tasks.resolve_model(model, registry, undecided)
    tasks.name_run(f"score {source} with", resolved["model_id"])
    with alone_in(output):
        plan = tasks.plan_scoring(source, output, deadline, max_bad_files)
        results = tasks.score_units(plan, resolved, options, pool, only, force)
        committed = tasks.commit_scores(output, plan, resolved, results, options, drift_limits)
    totals = committed["totals"]
    message = (
        f"{totals['rows']:,} rows in {totals['files']:,} files scored by {committed['model_id']}: "
        f"{totals['positive']:,} positive, {totals['negative']:,} negative, "
        f"{totals['without_text']:,} without text, {totals['truncated']:,} truncated."
    )
    return Completed(message=message, data=committed)


if __name__ == "__main__":
    sys.exit(tasks.run_as_command(score_parquet))
