"""A command of the package in a process of its own, with its time and its peak memory."""

from __future__ import annotations

import subprocess
import sys
import time

# What wait4 gives begins with the peak of the process that this one was started from.
_PROGRAM = """
import re
from pathlib import Path
from imdb_classifier.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def run_command(*arguments: str) -> tuple[float, int]:
    """Run a command; return wall-clock seconds and peak resident bytes, as Linux has them.

    Args:
        arguments: What follows ``imdb-classifier``.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    return seconds, int(process.stdout.splitlines()[-1]) * 1024
