"""Many small files: what a run, a second run, a dry run and a check take, beside bare system calls.

``python -m benchmarks.many_files`` writes JSON to ``build/many_files.json`` and prints a table; the
documentation shows the copy in this folder.

The bare system calls are those that the work cannot do without, made from Python by as many threads
as score; for the first run, they include flushing each file and its folder to disk.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.command import run_command
from benchmarks.conditions import conditions
from benchmarks.table import markdown_table, progress
from imdb_classifier.registry.access import REGISTRY_VARIABLE
from imdb_classifier.scoring.cores import available_cores

RESULT: Final = Path("build/many_files.json")
NUMBERS: Final = (10_000, 100_000)
TEXTS: Final = ["A warm and funny film.", "Dull, loud and badly cut.", None]
_P = TypeVar("_P")
TAIL_BYTES: Final = 1 << 16
"""Bytes at the end of a file that are read for its footer."""


def measure(files: int, folder: Path) -> list[dict[str, Any]]:
    """Score, score again, plan and verify files of three rows each.

    Args:
        files: Number of files.
        folder: An empty folder, on the disk to measure.

    Returns:
        For each step: files, step, seconds, bare (seconds of the system calls), ratio, and
        memory (peak, in MiB).
    """
    source, target = folder / "in", folder / "out"
    names = _write(source, files)
    scored = folder / "scored.parquet"
    run_command("score", str(source / names[0]), str(scored))
    content = scored.read_bytes()
    bare = {
        "first run": lambda: _bare_first_run(source, folder / "bare", names, content),
        "second run": lambda: _bare_footers(source, target, names),
        "plan": lambda: _bare_footers(source, target, names),
        "verify": lambda: _bare_bytes(source, target, names),
    }
    commands = {
        "first run": ("score", str(source), str(target), "--json"),
        "second run": ("score", str(source), str(target), "--json"),
        "plan": ("plan", str(source), str(target), "--json"),
        "verify": ("verify", str(target), "--json"),
    }
    found = []
    for step, command in commands.items():
        seconds, memory = run_command(*command)
        least = _seconds(bare[step])
        found.append(
            {
                "files": files,
                "step": step,
                "seconds": round(seconds, 1),
                "bare": round(least, 2),
                "ratio": round(seconds / least, 1),
                "memory": round(memory / 2**20),
            }
        )
        progress(**found[-1])
    return found


def table(figures: Mapping[str, Any]) -> str:
    """Return the measurements as a Markdown table."""
    return markdown_table(
        [
            {
                "files": f"{row['files']:,}",
                "step": row["step"],
                "seconds": row["seconds"],
                "bare system calls, seconds": row["bare"],
                "ratio": row["ratio"],
                "peak memory, MiB": row["memory"],
            }
            for row in figures["steps"]
        ]
    )


def _write(folder: Path, files: int) -> list[str]:
    folder.mkdir()
    pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), folder / "one.parquet")
    content = (folder / "one.parquet").read_bytes()
    (folder / "one.parquet").unlink()
    names = [f"{number:07}.parquet" for number in range(files)]
    for name in names:
        (folder / name).write_bytes(content)
    return names


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _each(paths: list[_P], work: Callable[[_P], None]) -> None:
    with ThreadPoolExecutor(available_cores() + 1) as pool:
        for _ in pool.map(work, paths):
            pass


def _read(path: Path, most: int | None = None) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    size = os.fstat(descriptor).st_size
    begin = 0 if most is None else max(size - most, 0)
    os.pread(descriptor, size - begin, begin)
    os.close(descriptor)


def _bare_footers(source: Path, target: Path, names: list[str]) -> None:
    for folder in (source, target):
        list(os.scandir(folder))
        _each([folder / name for name in names], lambda path: _read(path, TAIL_BYTES))


def _bare_bytes(source: Path, target: Path, names: list[str]) -> None:
    for folder in (source, target):
        list(os.scandir(folder))
        _each([folder / name for name in names], _read)


def _bare_first_run(source: Path, target: Path, names: list[str], content: bytes) -> None:
    target.mkdir()

    def write(name: str) -> None:
        _read(source / name)
        unfinished = target / f".{name}"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
        os.link(unfinished, target / name)
        unfinished.unlink()
        entries = os.open(target, os.O_RDONLY)
        os.fsync(entries)
        os.close(entries)

    _each(names, write)


@click.command
def main() -> None:
    """Measure, write the figures as JSON, and print them as Markdown."""
    steps = []
    with tempfile.TemporaryDirectory() as registry:
        # In an empty registry, the champion is the bundled model.
        os.environ[REGISTRY_VARIABLE] = registry
        for files in NUMBERS:
            with tempfile.TemporaryDirectory() as folder:
                steps += measure(files, Path(folder))
    figures = {"measured": conditions(), "steps": steps}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(table(figures))


if __name__ == "__main__":
    main()
