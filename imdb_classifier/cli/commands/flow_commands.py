"""The flows and deployments, for commands; Prefect is imported when one of them is called."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from imdb_classifier.batch.results import RunResult
from imdb_classifier.errors import ConfigurationError, PartlyScoredError

_PACKAGE: Final = Path(__file__).resolve().parents[2]


def score_by_flow(**parameters: Any) -> RunResult:
    """Score Parquet files by the flow `score-parquet`, without Prefect's log on the terminal.

    Args:
        **parameters: Of the flow.

    Raises:
        MissingExtraError: Prefect is not installed.
        ImdbClassifierError: The flow's own error, unless some of its files are scored.
    """
    # Of Prefect's handler for the terminal, here and in child processes; its server has the log.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from imdb_classifier import tasks  # first, for it names the packages that are missing
    from imdb_classifier.flows.score import score_parquet

    state = tasks.call_flow(score_parquet, **parameters)
    try:
        result: RunResult = state.result()
    except PartlyScoredError as error:
        result = error.result
    return result


def serve(source: str | None, output: str | None) -> NoReturn:
    """Become the process that runs the scheduled deployments, until it is stopped.

    Args:
        source: What is scored every night; None for what ``prefect.yaml`` says.
        output: Where the scored files go; None likewise.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: The deployments are not there.
    """
    import imdb_classifier.tasks  # noqa: F401 - names the packages that are missing

    # The wheel carries the folder inside the package, a checkout has it beside the package.
    places = (_PACKAGE / "_deployments" / "serve.py", _PACKAGE.parent / "deployments" / "serve.py")
    program = next((place for place in places if place.is_file()), None)
    if program is None:
        raise ConfigurationError(
            "The deployments come with the wheel and with a checkout of the project.",
            "deployments/serve.py is in neither.",
            "Install the package again.",
        )
    options = {"--source": source, "--output": output}
    given = [part for name, value in options.items() if value for part in (name, value)]
    command = [sys.executable, str(program), *given]
    # In place of this process, so that whoever stops it by its id stops the serving too.
    os.execv(command[0], command)
