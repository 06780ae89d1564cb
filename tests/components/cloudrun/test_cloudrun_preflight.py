"""What is looked at before anything is made, without Google: who is sent the deployer's token, and malformed names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.cloudrun import preflight
from mlflow_backend.findings import failures, passed
from mlflow_backend.gcp import preflight as project
from mlflow_backend.gcp.api import Api
from tests.components.cloudrun.stacks import NAMING, changed
from tests.components.messages import raised

if TYPE_CHECKING:
    from mlflow_backend.findings import Finding


class Given:
    """Credentials that are there."""

    def token(self) -> str:
        """Return the deployer's token."""
        return "deployers-token"


@pytest.fixture
def api() -> Api:
    """Google's APIs, of which nothing is called."""
    made = Api()
    made.credentials = Given()  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("registry", "sent"),
    [
        ("europe-west1-docker.pkg.dev", True),
        ("us-docker.pkg.dev", True),
        ("gcr.io", True),
        ("eu.gcr.io", True),
        ("ghcr.io", False),
        ("europe-west1-docker.pkg.dev.example.com", False),
        ("example.com", False),
        ("notgcr.io", False),
        ("localhost:5000", False),
    ],
)
def test_the_deployers_token_is_sent_to_google_alone(api: Api, registry: str, *, sent: bool) -> None:
    """Any other registry could use it in the deployer's name."""
    found = preflight.login(registry, api)
    assert (found is not None) is sent
    assert "deployers-token" not in repr(found)


def test_an_image_that_no_registry_is_named_for_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside what is found of the project, in one error."""

    def check(*_: object) -> tuple[Finding, ...]:
        return (passed("project", "gcp.project", "it is there."),)

    monkeypatch.setattr(project, "check", check)
    settings = changed("basic", {})
    malformed = settings.model_copy(update={"server": settings.server.model_copy(update={"image": "mlflow"})})
    with raised("cloudrun-preflight-failed", "image exists"):
        preflight.refuse(malformed, NAMING, api)
    (found,) = failures(preflight.check(malformed, NAMING, api))
    assert found.prop == "server.image"
