"""Parquet in, Parquet out: plan, score, commit."""

from imdb_classifier.parquet.plan import PlannedFile, group_files, plan_files
from imdb_classifier.parquet.run import (
    RunResult,
    finish_run,
    row_counts,
    score_files,
    score_parquet,
    start_run,
)
from imdb_classifier.parquet.scored_file import FileResult, ScoreOptions, score_file

__all__ = [
    "FileResult",
    "PlannedFile",
    "RunResult",
    "ScoreOptions",
    "finish_run",
    "group_files",
    "plan_files",
    "row_counts",
    "score_file",
    "score_files",
    "score_parquet",
    "start_run",
]
