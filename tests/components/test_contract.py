"""What every target takes and gives: the words and numbers that scripts and readers of outputs depend on."""

from __future__ import annotations

from mlflow_backend.contract import (
    BackendOutputs,
    ExitCode,
    client_lines,
)


def test_exit_codes_are_these_numbers() -> None:
    """Workflows branch on the numbers, so a new meaning gets a new one."""
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "VERIFICATION_FAILED": 1,
        "USAGE": 2,
        "REFUSED": 3,
        "PLATFORM_FAILED": 4,
        "INCONCLUSIVE": 5,
        "CHANGES": 6,
    }


def test_every_target_exports_the_same_names() -> None:
    """The stack outputs are a contract with scripts and people."""
    outputs = BackendOutputs(
        tracking_url="http://127.0.0.1:5000",
        release={},
        verification={},
        artifact_root="s3://bucket/artifacts",
        dashboard_url=None,
        client=client_lines("http://127.0.0.1:5000"),
        locator="/somewhere",
    )
    assert list(outputs.exports()) == [
        "trackingUrl",
        "release",
        "verification",
        "artifactRoot",
        "dashboardUrl",
        "client",
        "locator",
    ]


def test_a_client_needs_two_lines() -> None:
    """One for a shell, one for Python, each complete; those that sign in come with the shell's."""
    shell, python = (
        "export MLFLOW_TRACKING_URI=http://127.0.0.1:5000",
        'mlflow.set_tracking_uri("http://127.0.0.1:5000")',
    )
    assert client_lines("http://127.0.0.1:5000") == (shell, python)
    known = client_lines("http://127.0.0.1:5000", {"password": "file:/p"}, sign_in={"A": "b"})
    assert known == (shell, "export MLFLOW_TRACKING_PASSWORD=\"$(cat '/p')\"", "export A=b", python)
