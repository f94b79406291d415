"""Where units of work run: in this process, in other local processes, or on a Dask cluster."""

from __future__ import annotations

import sys
from typing import Any, Literal

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from imdb_classifier.errors import ConfigurationError, MissingExtraError
from imdb_classifier.scoring.cores import cores_to_use

RunnerName = Literal["local", "process", "dask"]


def task_runner(
    runner: RunnerName = "local", scheduler: str | None = None, threads: int | None = None
) -> TaskRunner[Any]:
    """Return a Prefect task runner by name; it starts nothing until it is entered.

    Args:
        runner: ``local``: one unit at a time, on all cores. ``process``: one unit per core, each in
            a process of its own. ``dask``: on the workers of a Dask cluster.
        scheduler: The address of the cluster's scheduler, such as ``tcp://10.0.0.7:8786``; None for
            a cluster of this machine's cores that ends with the run.
        threads: Number of cores to use; by default all that this process may use.

    Raises:
        ConfigurationError: A scheduler is given for another runner than ``dask``, or together with
            a number of threads; or that number is below 1.
        MissingExtraError: prefect-dask is not installed.
    """
    if scheduler is not None and runner != "dask":
        raise ConfigurationError(
            "`scheduler` requires `runner=dask`.",
            f"The runner is {runner}.",
            "Set `runner=dask`, or leave out `scheduler`.",
        )
    if scheduler is not None and threads is not None:
        raise ConfigurationError(
            "The workers of a cluster decide with how many threads they score.",
            f"`threads={threads}` came with `scheduler`.",
            "Leave out `threads`, and start workers with `dask worker --nthreads`.",
        )
    cores = cores_to_use(threads)
    if runner == "local":
        return ThreadPoolTaskRunner(max_workers=1)
    if runner == "process":
        return ProcessPoolTaskRunner(max_workers=cores)
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ModuleNotFoundError as error:
        raise MissingExtraError("A Dask cluster", error.name or "prefect_dask", "dask") from error
    if scheduler is not None:
        return DaskTaskRunner(address=scheduler)
    own = {
        "n_workers": cores,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
    }
    return DaskTaskRunner(cluster_kwargs={**own, "host": "127.0.0.1"})


def threads_of_worker() -> int | None:
    """Return the number of threads of the current Dask worker, or None outside of a worker."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        threads: int = distributed.get_worker().state.nthreads
    except ValueError:
        return None
    return threads
