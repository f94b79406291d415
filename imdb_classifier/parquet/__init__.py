"""Parquet in, Parquet out: plan, score, commit."""

from imdb_classifier.parquet.estimate import Estimate, FileEstimate, estimate
from imdb_classifier.parquet.footer import Selection
from imdb_classifier.parquet.manifest import declare, withdraw
from imdb_classifier.parquet.monitoring import report_drift
from imdb_classifier.parquet.plan import PlannedFile, find_files, group_files, plan_files
from imdb_classifier.parquet.rows import open_rows
from imdb_classifier.parquet.run import (
    Limits,
    RunResult,
    alone_in,
    row_counts,
    score_files,
    score_parquet,
)
from imdb_classifier.parquet.scored_file import COUNTS, FileResult, ScoreOptions, score_file
from imdb_classifier.parquet.verify import Problem, Promise, Verification, verify

__all__ = [
    "COUNTS",
    "Estimate",
    "FileEstimate",
    "FileResult",
    "Limits",
    "PlannedFile",
    "Problem",
    "Promise",
    "RunResult",
    "ScoreOptions",
    "Selection",
    "Verification",
    "alone_in",
    "declare",
    "estimate",
    "find_files",
    "group_files",
    "open_rows",
    "plan_files",
    "report_drift",
    "row_counts",
    "score_file",
    "score_files",
    "score_parquet",
    "verify",
    "withdraw",
]
