"""Imports that commands can do without."""

from __future__ import annotations

import sys


class _NoPandas:
    """Finds no pandas, and leaves all other modules to the finders after it."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def use_arrow_without_pandas() -> None:
    """Let pyarrow do without pandas, whose import takes longer than its own.

    The first array that is made imports pandas, to tell its objects from lists, and no command
    passes any. Later, pyarrow tries again only if it must make a data frame.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
