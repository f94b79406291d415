"""Which optional packages a test needs."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(package: str, extra: str) -> pytest.MarkDecorator:
    """Skips a test where a package is not installed, as in `make test-lowest`."""
    reason = f"{package} is not installed (extra: {extra})"
    return pytest.mark.skipif(find_spec(package) is None, reason=reason)
