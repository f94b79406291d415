"""Score a folder and count its labels, in a flow of one's own (shown in the guide for Python)."""

from __future__ import annotations

import pyarrow.dataset as ds
from prefect import flow, task

from imdb_classifier import tasks


@task
def count_labels(folder: str) -> dict[str, int]:
    """Count the rows of each label in a folder of scored files."""
    labels = ds.dataset(folder).to_table(["sentiment_label"])["sentiment_label"]
    return {
        count["values"]: count["counts"] for count in labels.drop_null().value_counts().to_pylist()
    }


@flow
def score_and_count(source: str, output: str, registry: str | None = None) -> dict[str, int]:
    """Score the new files of a folder with the champion, then count the labels of all."""
    model = tasks.resolve_model("@champion", registry)
    result = tasks.score_batch(source, output, model)
    print(result.summary)
    return count_labels(output)
