"""Parquet in, Parquet out: plan, score, commit."""

from imdb_classifier.parquet.footer import Selection
from imdb_classifier.parquet.manifest import declare, withdraw
from imdb_classifier.parquet.plan import PlannedFile, group_files, plan_files
from imdb_classifier.parquet.run import (
    Limits,
    RunResult,
    alone_in,
    row_counts,
    score_files,
    score_parquet,
)
from imdb_classifier.parquet.scored_file import FileResult, ScoreOptions, score_file

__all__ = [
    "FileResult",
    "Limits",
    "PlannedFile",
    "RunResult",
    "ScoreOptions",
    "Selection",
    "alone_in",
    "declare",
    "group_files",
    "plan_files",
    "row_counts",
    "score_file",
    "score_files",
    "score_parquet",
    "withdraw",
]
