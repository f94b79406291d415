"""A machine that has Python and the wheel, but no other package, and no index of packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from docs.licenses import needed

CHECKOUT = Path(__file__).parents[1]
PROGRAM = """\
#!/usr/bin/env python
import sys

from {module} import {name}

if __name__ == "__main__":
    sys.exit({name}())
"""
"""What pip makes of an entry point."""
WITHOUT_INDEX = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


def build(target: str, folder: Path, source: Path = CHECKOUT) -> Path:
    """Build a ``wheel`` or ``sdist`` of the checkout, or of another folder; returns its path."""
    command = ["hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run([sys.executable, "-m", *command], cwd=source, check=True)
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def build_wheel(folder: Path) -> Path:
    """Build the checkout's wheel; returns its path."""
    return build("wheel", folder)


def link_requirements(folder: Path, *requirements: str) -> dict[str, str]:
    """Link what requirements need, and no more, from this environment; what pip need not install.

    Args:
        folder: New folder for the links.
        *requirements: Such as ``imdb-classifier[flows]``. The package itself is left out.

    Returns:
        Environment variables with which Python and a shell find it.
    """
    packages, programs = folder / "packages", folder / "programs"
    packages.mkdir(parents=True)
    programs.mkdir()
    for found in needed(*requirements):
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            link = packages / top
            if not link.is_symlink():
                link.symlink_to(str(found.locate_file(top)))
        for entry in found.entry_points.select(group="console_scripts"):
            program = programs / entry.name
            program.write_text(PROGRAM.format(module=entry.module, name=entry.attr), "utf-8")
            program.chmod(0o755)
    return {
        "PYTHONPATH": str(packages),
        "PATH": os.pathsep.join(
            [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
    }
