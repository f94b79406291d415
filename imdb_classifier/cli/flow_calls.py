"""Functions of commands that run flows or deployments; only calling one imports Prefect."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from imdb_classifier.batch.results import RunResult
from imdb_classifier.errors import PartlyScoredError
from imdb_classifier.operations.configured import deployments_file


def score_by_flow(**parameters: Any) -> RunResult:
    """Score Parquet files with the flow `score-parquet`, hiding Prefect's log on the terminal.

    Args:
        **parameters: Parameters of the flow.

    Returns:
        The result, which also lists files that could not be scored.

    Raises:
        MissingExtraError: Prefect is not installed.
        ImdbClassifierError: The flow failed, and not because some files could not be scored.
    """
    # As a variable, so that child processes inherit it. The server still gets the whole log.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from imdb_classifier import tasks  # first, because its error names the missing package
    from imdb_classifier.flows.score import score_parquet

    state = tasks.call_flow(score_parquet, **parameters)
    try:
        result: RunResult = state.result()
    except PartlyScoredError as error:
        result = error.result
    return result


def serve(source: str | None, output: str | None, cron: str | None) -> NoReturn:
    """Replace this process with one that runs the scheduled deployments until it is stopped.

    Args:
        source: Parquet files to score every night; None for those in ``prefect.yaml``.
        output: Folder for the scored files; None for the one in ``prefect.yaml``.
        cron: When to score, in UTC; None for the schedule in ``prefect.yaml``.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: ``deployments/serve.py`` is missing.
    """
    import imdb_classifier.tasks  # noqa: F401 - its error names the missing package

    options = {"--source": source, "--output": output, "--cron": cron}
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    command = [sys.executable, str(deployments_file("serve.py")), *given]
    # Replaces this process, so that stopping it by its id stops the server as well.
    os.execv(command[0], command)
