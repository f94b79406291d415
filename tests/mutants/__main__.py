"""Break a stated list of places one by one, on a copy, and show which test finds each.

``make mutants`` runs all of ``mutants.toml``; ``make mutants ARGS="batch training"`` those in whose
file or rule one of these words stands. Their tests have to pass on the unbroken code first.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue

import pytest

from tests.conftest import TINY_VARIABLE

CHECKOUT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutants.toml")
AT_ONCE = 2
NOT_RUN = (
    pytest.ExitCode.INTERNAL_ERROR,
    pytest.ExitCode.USAGE_ERROR,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)


@dataclass(frozen=True)
class Mutant:
    """One place that is broken.

    Attributes:
        rule: What the product promises, and no longer keeps.
        file: The file that is changed, relative to the checkout.
        find: What is replaced in it; it stands there once.
        replace: What it is replaced by.
        tests: The files or single tests, as pytest names them, one of which must fail.
    """

    rule: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The file with the fault in it.

        Raises:
            ValueError: What is to be replaced does not stand there exactly once.
        """
        if (count := source.count(self.find)) != 1:
            raise ValueError(f"{self.file}: {self.find!r} occurs {count} times, must occur once")
        return source.replace(self.find, self.replace)


def mutants() -> list[Mutant]:
    """All mutants of ``mutants.toml``, in its order."""
    listed = tomllib.loads(LIST.read_text("utf-8"))["mutant"]
    return [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in listed]


def found_by(mutant: Mutant, copy: Path) -> str | None:
    """The test that fails once a mutant is in a copy; None where all of them pass.

    Raises:
        RuntimeError: The tests could not be run.
    """
    file = copy / mutant.file
    source = file.read_text("utf-8")
    file.write_text(mutant.applied(source), "utf-8")
    try:
        return first_failure(mutant.tests, copy)
    finally:
        file.write_text(source, "utf-8")


def first_failure(tests: Iterable[str], copy: Path) -> str | None:
    """The first of some tests that fails in a copy; None where all of them pass.

    Raises:
        RuntimeError: The tests could not be run.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    environment = {
        TINY_VARIABLE: str(copy.parent / "tiny"),
        **os.environ,
        # The copy stands in front of an editable installation of the checkout.
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    run = subprocess.run(
        [*command, *tests], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode == 0:
        return None
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    if run.returncode in NOT_RUN:
        raise RuntimeError(f"pytest ended with {run.returncode}: {run.stdout[-2000:]}{run.stderr}")
    # Some faults end the process, such as reading past the end of an array.
    return str(failures[0]) if failures else f"a process that ended with {run.returncode}"


@contextmanager
def copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """Copies of the files that git knows or does not ignore, ready to be broken."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    free: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for number in range(count):
            copy = Path(folder) / str(number)
            for name in filter(None, listed.stdout.split("\0")):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, copy / name)
            # By content: a file may be broken and restored within the resolution of its time.
            compileall.compile_dir(
                copy, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH
            )
            free.put(copy)
        yield free


def main() -> int:
    """Run the mutants; the exit code is the number of those that no test found, at most 100."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants with one of these words")
    words = parser.parse_args().words
    chosen = [
        mutant
        for mutant in mutants()
        if not words or any(word in f"{mutant.file} {mutant.rule}" for word in words)
    ]
    tests = dict.fromkeys(test for mutant in chosen for test in mutant.tests)
    survivors = 0
    with copies(AT_ONCE) as free, ThreadPoolExecutor(AT_ONCE) as pool:

        def run(mutant: Mutant | None) -> str | None:
            copy = free.get()
            try:
                return found_by(mutant, copy) if mutant else first_failure(tests, copy)
            finally:
                free.put(copy)

        if (failure := run(None)) is not None:
            sys.exit(f"{failure} fails on the unbroken code.")

        for number, (mutant, test) in enumerate(
            zip(chosen, pool.map(run, chosen), strict=True), start=1
        ):
            survivors += test is None
            print(
                f"{number:3}/{len(chosen)}  {mutant.rule}\n"
                f"         {mutant.file}\n"
                f"         {'SURVIVED' if test is None else f'found by {test}'}",
                flush=True,
            )
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants found.")
    return min(survivors, 100)


if __name__ == "__main__":
    sys.exit(main())
