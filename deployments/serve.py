"""Run the deployments of ``prefect.yaml`` from one process, without a work pool or worker.

Stopping the process leaves the schedules active: runs that fall due meanwhile start late, once it
runs again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.util import find_spec
from typing import Any, Final

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.schedules import Schedule
from prefect.types.entrypoint import EntrypointType

from imdb_classifier.errors import ConfigurationError, ImdbClassifierError, listed
from imdb_classifier.operations.configured import configured_deployments
from imdb_classifier.operations.connection import prefect_server
from imdb_classifier.storage import absolute_location
from imdb_classifier.storage.temporary import temporary_folder

PLACEHOLDER: Final = "/path/to/"
RUNS_AT_ONCE: Final = 4
"""Without a limit, all late runs after a long pause would start together."""


def served_deployments(
    parameters: dict[str, str], cron: str | None = None
) -> list[RunnerDeployment]:
    """Return the deployments of ``prefect.yaml`` that the installed packages can run.

    Args:
        parameters: Flow parameters of ``nightly``; they override those in the file.
        cron: Schedule of ``nightly``, in UTC; None for that in the file.

    Raises:
        ConfigurationError: `cron` is not a cron expression, or it is not said what to score.
    """
    configured = configured_deployments()
    (nightly,) = (entry for entry in configured if entry["name"] == "nightly")
    nightly["parameters"] |= parameters
    if cron is not None:
        _check_cron(cron)
        nightly["schedules"] = [{"cron": cron, "timezone": "UTC", "slug": "nightly"}]
    _check_places(nightly["parameters"])
    if find_spec("tensorflow") is None:
        print(
            "Nothing will be trained or evaluated, because TensorFlow is not installed. "
            "Install it with: pip install 'imdb-classifier[train]'",
            file=sys.stderr,
        )
        configured = [e for e in configured if not {"train", "evaluate"} & {*e["tags"]}]
    return [_deployment(entry) for entry in configured]


def _check_places(parameters: dict[str, str]) -> None:
    unset = [name for name in ("source", "output") if parameters[name].startswith(PLACEHOLDER)]
    if unset:
        raise ConfigurationError(
            "Nightly scoring needs the files to score, and a folder for the scored files.",
            f"prefect.yaml has only a placeholder for: {listed(unset)}.",
            "Give --source and --output.",
        )


def _check_cron(cron: str) -> None:
    try:
        Schedule(cron=cron)
    except ValueError as error:
        raise ConfigurationError(
            "--cron must be a cron expression.",
            f"It is '{cron}'.",
            'Give minute, hour, day, month and weekday, such as "0 4 * * *" for 4:00 every night.',
        ) from error


def _deployment(entry: dict[str, Any]) -> RunnerDeployment:
    flow: Any = load_flow_from_entrypoint(entry["entrypoint"])
    limit = entry.get("concurrency_limit")
    deployment: RunnerDeployment = flow.to_deployment(
        name=entry["name"],
        description=entry["description"],
        tags=entry["tags"],
        parameters=entry["parameters"],
        schedules=[Schedule(**schedule) for schedule in entry.get("schedules", [])],
        triggers=[DeploymentEventTrigger(**trigger) for trigger in entry.get("triggers", [])],
        concurrency_limit=ConcurrencyLimitConfig(**limit) if limit else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment


def check_not_in_a_pool(deployments: list[RunnerDeployment]) -> None:
    """Check that no deployment of a work pool would be overwritten: its runs would crash.

    Raises:
        ConfigurationError: A deployment of that name belongs to a work pool, or no server is
            configured.
        UnavailableError: The server cannot be reached.
    """
    with prefect_server() as client:
        for deployment in deployments:
            name = f"{deployment.flow_name}/{deployment.name}"
            try:
                pool = client.read_deployment_by_name(name).work_pool_name
            except ObjectNotFound:
                continue
            if pool is not None:
                raise ConfigurationError(
                    "A deployment cannot be both served and run by a worker.",
                    f"{name} belongs to the work pool {pool}.",
                    "Start a worker instead, or first run: imdb-classifier undeploy",
                )


def main() -> None:
    """Serve the deployments until the process is stopped."""
    parser = argparse.ArgumentParser(description="Run the deployments from this process.")
    parser.add_argument("--source", help="Parquet files to score. Default: as in prefect.yaml.")
    parser.add_argument("--output", help="Folder for scored files. Default: as in prefect.yaml.")
    parser.add_argument("--cron", help="When to score, in UTC. Default: as in prefect.yaml.")
    arguments = vars(parser.parse_args())
    cron = arguments.pop("cron")
    try:
        # Absolute, because this may be started in another folder next time.
        given = {
            name: absolute_location(value) for name, value in arguments.items() if value is not None
        }
        deployments = served_deployments(given, cron)
        check_not_in_a_pool(deployments)
        with temporary_folder() as folder:
            # Prefect keeps files in a folder with a fixed name; in /tmp, it may be another user's.
            tempfile.tempdir = str(folder)
            serve(
                *deployments,
                # By default, Prefect pauses the schedules on every shutdown.
                pause_on_shutdown=False,
                limit=RUNS_AT_ONCE,
            )
    except ImdbClassifierError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
