"""The flows and deployments as programs, for the command line, which knows no Prefect.

They are files beside the package, not part of it: they are run from a checkout, or from the copies
that the wheel carries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NoReturn

from imdb_classifier.errors import ConfigurationError, MissingExtraError

_PACKAGE: Final = Path(__file__).resolve().parents[1]


def run_flow(name: str, parameters: Mapping[str, Any]) -> int:
    """Run a flow in a process of its own.

    Args:
        name: Of its file.
        parameters: Of the flow. None and False are left out; a mapping is handed over as JSON.

    Returns:
        Its exit code.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: The flows are not there.
    """
    command = program("flows", name)
    for parameter, value in parameters.items():
        option = f"--{parameter.replace('_', '-')}"
        if value is True:
            command.append(option)
        elif isinstance(value, Mapping):
            command += [option, json.dumps(value)]
        elif value is not None and value is not False:
            command += [option, str(value)]
    return subprocess.call(command)


def serve(source: str | None, output: str | None) -> NoReturn:
    """Become the process that runs the scheduled deployments, until it is stopped.

    Args:
        source: What is scored every night; None for what ``prefect.yaml`` says.
        output: Where the scored files go; None likewise.
    """
    options = {"--source": source, "--output": output}
    given = [part for name, value in options.items() if value for part in (name, value)]
    command = [*program("deployments", "serve.py"), *given]
    # In place of this process, so that whoever stops it by its id stops the serving too.
    os.execv(command[0], command)


def program(kind: str, name: str) -> list[str]:
    """The command that runs a file of the flows or deployments.

    Args:
        kind: ``flows`` or ``deployments``.
        name: The file's name.

    Raises:
        MissingExtraError: Prefect is not installed.
        ConfigurationError: The file is not there.
    """
    if find_spec("prefect") is None:
        raise MissingExtraError("Running the flows", "prefect", "all")
    for folder in (_PACKAGE / f"_{kind}", _PACKAGE.parent / kind):
        if (folder / name).is_file():
            return [sys.executable, str(folder / name)]
    raise ConfigurationError(
        "The flows come with the wheel and with a checkout of the project.",
        f"{kind}/{name} is in neither.",
        "Install the package again.",
    )
