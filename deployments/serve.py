"""Run the deployments of ``prefect.yaml`` from one process, without a work pool or worker.

Stopping the process leaves the
schedules active: runs that fall due meanwhile start late, once it runs again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from prefect import get_client, serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.schedules import Schedule
from prefect.types.entrypoint import EntrypointType

from imdb_classifier.errors import ConfigurationError, ImdbClassifierError
from imdb_classifier.storage import absolute_location

HERE: Final = Path(__file__).resolve().parent
RUNS_AT_ONCE: Final = 4
"""One per deployment; without a limit, all late runs after a long pause would start together."""


def configured_deployments(parameters: dict[str, dict[str, str]]) -> list[RunnerDeployment]:
    """Return the deployments of ``prefect.yaml``.

    Args:
        parameters: Flow parameters by deployment; they override those in the file.
    """
    configured = yaml.safe_load((HERE / "prefect.yaml").read_text("utf-8"))
    return [
        _deployment(entry, parameters.get(entry["name"], {})) for entry in configured["deployments"]
    ]


def _deployment(entry: dict[str, Any], parameters: dict[str, str]) -> RunnerDeployment:
    flow: Any = load_flow_from_entrypoint(entry["entrypoint"])
    deployment: RunnerDeployment = flow.to_deployment(
        name=entry["name"],
        description=entry["description"],
        tags=entry["tags"],
        parameters=entry["parameters"] | parameters,
        schedules=[Schedule(**schedule) for schedule in entry.get("schedules", [])],
        triggers=[DeploymentEventTrigger(**trigger) for trigger in entry.get("triggers", [])],
        concurrency_limit=ConcurrencyLimitConfig(**entry["concurrency_limit"]),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment


def check_not_in_a_pool(deployments: list[RunnerDeployment]) -> None:
    """Check that no deployment of a work pool would be overwritten: its runs would crash.

    Raises:
        ConfigurationError: A deployment of that name belongs to a work pool.
    """
    client = get_client(sync_client=True)
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
                f"Start a worker instead, or first run: prefect deployment delete {name}",
            )


def main() -> None:
    """Serve the deployments until the process is stopped."""
    parser = argparse.ArgumentParser(description="Run the deployments from this process.")
    parser.add_argument("--source", help="Parquet files to score. Default: as in prefect.yaml.")
    parser.add_argument("--output", help="Folder for scored files. Default: as in prefect.yaml.")
    arguments = vars(parser.parse_args())
    try:
        # Absolute, because this may be started in another folder next time.
        given = {
            name: absolute_location(value) for name, value in arguments.items() if value is not None
        }
        deployments = configured_deployments({"nightly": given})
        check_not_in_a_pool(deployments)
    except ImdbClassifierError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    serve(
        *deployments,
        # By default, Prefect pauses the schedules on every shutdown.
        pause_on_shutdown=False,
        limit=RUNS_AT_ONCE,
    )


if __name__ == "__main__":
    main()
