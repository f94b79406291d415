"""Whether the Prefect server answers, makes runs of schedules in advance, and has them run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import prefect
from packaging.version import Version
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.flows import load_flow_from_entrypoint

from imdb_classifier.errors import ConfigurationError, UnavailableError, counted, listed
from imdb_classifier.operations.configured import configured_deployments
from imdb_classifier.operations.connection import prefect_server

_LATE: Final = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"])))


def check_server() -> str:
    """Check that the configured Prefect server answers, and is not older than Prefect here.

    Raises:
        ConfigurationError: No server is configured, or it is older.
        UnavailableError: The server does not answer.
    """
    with prefect_server() as client:
        address, there = client.api_url, client.api_version()
    here = prefect.__version__
    if Version(here) > Version(there):
        raise ConfigurationError(
            "A Prefect server must not be older than what uses it.",
            f"{address} has Prefect {there}; Prefect {here} is installed here.",
            "Upgrade the server first, or install its release here.",
        )
    return f"{address}: Prefect {there}; here: Prefect {here}"


def check_schedules() -> str:
    """Check that schedules of this package's flows have runs ahead, and that none is late.

    Raises:
        ConfigurationError: No server is configured.
        UnavailableError: The server does not answer, makes no runs, or nothing starts them.
    """
    entrypoints: list[Any] = [entry["entrypoint"] for entry in configured_deployments()]
    flows: list[Any] = [load_flow_from_entrypoint(place) for place in entrypoints]
    ours = FlowFilter(name=FlowFilterName(any_=sorted({flow.name for flow in flows})))
    with prefect_server() as client:
        scheduled = [
            deployment
            for deployment in client.read_deployments(flow_filter=ours)
            if not deployment.paused and any(each.active for each in deployment.schedules)
        ]
        now: Any = datetime.now(UTC)
        without = [
            deployment.name
            for deployment in scheduled
            if not client.count_flow_runs(
                flow_run_filter=FlowRunFilter(
                    deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
                    expected_start_time=FlowRunFilterExpectedStartTime(after_=now),
                )
            )
        ]
        late = client.count_flow_runs(flow_filter=ours, flow_run_filter=_LATE)
    if without:
        raise UnavailableError(
            "The server must make the runs of every active schedule in advance.",
            f"It has made none for {listed(without)}.",
            "Try again in a minute if it was deployed just now. If not, the server's scheduler "
            "fails: look at the server's log, and install 'imdb-classifier[flows]' where it runs.",
        )
    if late:
        raise UnavailableError(
            "Scheduled runs must start in time.",
            f"{counted(late, 'run')} of this package's flows {'is' if late == 1 else 'are'} late.",
            "Start `imdb-classifier serve`, or a worker of their work pool.",
        )
    if not scheduled:
        return "none is active; `imdb-classifier serve` or `prefect deploy` creates them"
    return f"{counted(len(scheduled), 'active deployment')} with runs ahead, none late"
