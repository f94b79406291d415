"""Output for people: Markdown tables and progress lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the same keys as a Markdown table, with numbers aligned right."""
    columns = list(rows[0])
    ruler = ["---:" if isinstance(rows[0][column], int | float) else "---" for column in columns]
    cells = [columns, ruler, *([_cell(row[column]) for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def progress(**figures: Any) -> None:
    """Print figures to standard error as soon as they are measured."""
    print(json.dumps(figures), file=sys.stderr, flush=True)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
