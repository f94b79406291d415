from __future__ import annotations

from imdb_classifier.diagnosis.checkup import Check, Diagnosis, Finding, NotApplicableError
from imdb_classifier.errors import ConfigurationError, UnavailableError


def raising(error: Exception) -> Check:
    def check() -> str:
        raise error

    return check


def test_the_first_fault_decides() -> None:
    findings = (
        Finding.of("a", lambda: "fine"),
        Finding.of("b", raising(NotApplicableError("not here"))),
        Finding.of("c", raising(UnavailableError("It must answer.", "It does not.", "Try again."))),
        Finding.of("d", raising(ConfigurationError("x", "y", "z"))),
        Finding.of("e", raising(KeyError("a review"))),
    )
    assert [found.status for found in findings] == ["ok", "skipped", "fault", "fault", "fault"]
    assert [found.exit_code for found in findings] == [0, 0, 69, 78, 70]
    assert findings[1].message == "not here"
    assert findings[2].message == "It must answer. It does not. Try again."
    assert "KeyError" in findings[4].message
    assert "a review" not in findings[4].message
    assert Diagnosis(findings).exit_code == 69
    assert Diagnosis(findings[:2]).exit_code == 0
    assert Diagnosis(findings[:1]).to_dict() == {
        "findings": [{"check": "a", "status": "ok", "message": "fine", "exit_code": 0}],
        "exit_code": 0,
    }
