"""Where units of work run: in this process, in other local processes, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def running(pool: TaskRunner[Any]) -> Iterator[None]:
    """Run a task runner; if the block is interrupted, end its processes without waiting for them.

    Files that they have finished are kept.
    """
    before = multiprocessing.active_children()
    with pool:
        try:
            yield
        except Exception:
            raise
        except BaseException:
            for process in set(multiprocessing.active_children()).difference(before):
                process.terminate()
            raise


@contextmanager
def children_without_ctrl_c() -> Iterator[None]:
    """Let processes that are started in the block ignore Ctrl-C: this one ends them.

    A terminal sends SIGINT to all processes of a command. In those of a pool it would end threads
    that Prefect waits for; without its temporary server, Prefect would repeat requests for minutes.
    """
    if sys.platform == "win32":
        yield
        return
    # Processes inherit the mask of the thread that starts them, and threads that of theirs.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
