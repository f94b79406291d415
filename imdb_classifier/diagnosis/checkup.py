"""Checks, what they find, and the exit code that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from imdb_classifier.errors import EXIT_DONE, ImdbClassifierError, UnexpectedError

Check = Callable[[], str]
"""Returns what it finds, as a phrase; raises the error that a run would end with."""


class NotApplicableError(Exception):
    """Ends a check that does not apply here; its message says why."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: Name of the check.
        status: ``ok``, ``fault``, or ``skipped`` if the check does not apply here.
        message: What was found and, for a fault, what to do.
        exit_code: That of the fault, else 0.
    """

    check: str
    status: Literal["ok", "fault", "skipped"]
    message: str
    exit_code: int = EXIT_DONE

    @classmethod
    def of(cls, name: str, check: Check) -> Finding:
        """Run a check."""
        try:
            return cls(name, "ok", check())
        except NotApplicableError as reason:
            return cls(name, "skipped", str(reason))
        except Exception as error:
            fault = error if isinstance(error, ImdbClassifierError) else UnexpectedError(error)
            return cls(name, "fault", str(fault), fault.exit_code)


@dataclass(frozen=True)
class Diagnosis:
    """What all checks found.

    Attributes:
        findings: One for each check, in order.
    """

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0, or that of the first fault."""
        return next((found.exit_code for found in self.findings if found.exit_code), EXIT_DONE)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain JSON values."""
        findings = [asdict(found) for found in self.findings]
        return {"findings": findings, "exit_code": self.exit_code}
