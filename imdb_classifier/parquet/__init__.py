"""Parquet in, Parquet out: plan, score, commit."""

from imdb_classifier.parquet.plan import PlannedFile, plan_files
from imdb_classifier.parquet.run import (
    RunResult,
    count_rows,
    finish_run,
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
    "count_rows",
    "finish_run",
    "plan_files",
    "score_file",
    "score_files",
    "score_parquet",
    "start_run",
]
