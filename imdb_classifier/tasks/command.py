"""Flows as programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from imdb_classifier.errors import EXIT_DONE, EXIT_INTERNAL


def run_as_command(flow: Flow[..., State[Any]], arguments: Sequence[str] | None = None) -> int:
    """Run a flow from the command line, with an option for each of its parameters.

    Args:
        flow: A flow whose parameters are strings, integers, switches that are off by default, lists
            of strings, or JSON objects.
        arguments: Instead of the command line's.

    Returns:
        The exit code: 0 when the run completed, else that of its error.
    """
    parser = argparse.ArgumentParser(description=(flow.description or "").split("\n\n")[0])
    schema = flow.parameters
    for name, entry in schema.properties.items():
        kinds = {part.get("type") for part in entry.get("anyOf", [entry])}
        option = f"--{name.replace('_', '-')}"
        help_text = entry.get("description")
        if "boolean" in kinds:
            parser.add_argument(option, action="store_true", help=help_text)
        else:
            parser.add_argument(
                option,
                action="append" if "array" in kinds else "store",
                type=int if "integer" in kinds else json.loads if "object" in kinds else str,
                choices=entry.get("enum"),
                default=entry.get("default"),
                required=name in (schema.required or ()),
                help=help_text,
            )
    parameters = vars(parser.parse_args(arguments))
    # Without a server of one's own, Prefect starts one. Its first start sets up a database, which
    # can take longer than the 20 seconds that Prefect allows by itself.
    patience = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 180}
    with temporary_settings(set_defaults=patience):
        state = flow(**parameters, return_state=True)
    if state.is_completed():
        print(state.message)
        return EXIT_DONE
    error = state.result(raise_on_failure=False)
    print(f"Error: {error}", file=sys.stderr)
    return int(getattr(error, "exit_code", EXIT_INTERNAL))
