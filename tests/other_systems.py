"""Systems that read and write Parquet and are not part of every installation: `make interop`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

CHECKOUT = Path(__file__).parents[1]
JAVASCRIPT = CHECKOUT / "tests" / "javascript"
NODE_PACKAGES = CHECKOUT / "build" / "node"


class OtherSystems:
    """Starts each system when it is first used, or skips the test; a context manager.

    Args:
        folder: Where they may keep files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if "spark" in vars(self):
            gateway = self.spark.sparkContext._gateway
            self.spark.stop()
            gateway.shutdown()
            # Its launcher ends at the end of its input.
            gateway.proc.stdin.close()
            gateway.proc.wait()
            # The next session needs another one.
            type(self.spark.sparkContext)._gateway = type(self.spark.sparkContext)._jvm = None
        if "ray" in vars(self):
            self.ray.shutdown()

    @cached_property
    def spark(self) -> Any:
        """A `SparkSession` of one thread, without a page and reachable from this machine only."""
        _need("pyspark")
        if shutil.which("java") is None:
            pytest.skip("Java is not installed")
        from pyspark.sql import SparkSession

        settings = {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            # A short life: what the JVM would gain by compiling better it would not earn back.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.local.dir": self._folder,
            "spark.log.level": "ERROR",
            "spark.sql.artifact.isolation.enabled": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": 1,
            "spark.sql.warehouse.dir": self._folder / "warehouse",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        builder = SparkSession.builder.master("local[1]")
        for name, value in settings.items():
            builder = builder.config(name, str(value))
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PYSPARK_PYTHON", sys.executable)
            environment.setenv("SPARK_LOCAL_IP", "127.0.0.1")
            environment.chdir(self._folder)
            return builder.getOrCreate()

    @cached_property
    def datasets(self) -> Any:
        """Hugging Face's module `datasets`, offline."""
        _need("datasets")
        with pytest.MonkeyPatch.context() as environment:
            # Read when the module is imported.
            for switch in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
                environment.setenv(switch, "1")
            environment.setenv("HF_HOME", str(self._folder / "hugging_face"))
            import datasets

            return datasets

    @cached_property
    def ray(self) -> Any:
        """Ray's module, running on one core of this machine and reachable from it only."""
        _need("ray")
        with pytest.MonkeyPatch.context() as environment:
            # Its processes inherit them.
            environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
            environment.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
            environment.setenv("HOME", str(self._folder))  # where it keeps files, too
            import ray

            ray.init(
                num_cpus=1,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=100 * 2**20,
                _node_ip_address="127.0.0.1",
            )
            return ray

    def node(self, script: str, *arguments: Path) -> None:
        """Run a script of `tests/javascript` with the packages that `make interop` installs."""
        program = shutil.which("node")
        if program is None or not NODE_PACKAGES.joinpath("installed").exists():
            pytest.skip("JavaScript packages are not installed: make interop")
        with (JAVASCRIPT / script).open("rb") as content:
            # Modules are found from the working folder only if the script is the standard input.
            subprocess.run(
                [program, "--input-type=module", "-", *map(str, arguments)],
                stdin=content, cwd=NODE_PACKAGES, check=True,
            )  # fmt: skip


def _need(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: make interop")
