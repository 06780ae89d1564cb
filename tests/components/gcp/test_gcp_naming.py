"""Names on Google Cloud, within each service's limits."""

from __future__ import annotations

import re

import pytest

from mlflow_backend.gcp.naming import LIMITS, Naming

LONG = "a-very-long-name-of-a-project-that-somebody-has-thought-of"


def naming(stack_project: str, number: str = "123456789012") -> Naming:
    """Return the names of a backend."""
    return Naming(stack_project=stack_project, stack="Prod_EU", project="team-project", number=number, region="r1")


@pytest.mark.parametrize("project", ["shop", LONG, "9lives"])
def test_every_name_fits(project: str) -> None:
    """It begins with a letter, has letters, digits and hyphens only, and is no longer than its service takes."""
    names = naming(project)
    found = {
        "account": [names.account("server"), names.account("verify")],
        "bucket": [names.bucket()],
        "cache": [names.cache()],
        "database": [names.database()],
        "job": [names.job("database")],
        "network": [names.network(), names.network("services")],
        "secret": [names.secret("database-password")],
        "service": [names.service()],
    }
    for kind, made in found.items():
        for name in made:
            assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name), kind
            assert len(name) <= LIMITS[kind], kind
    assert len({*found["account"]}) == len(found["account"])


@pytest.mark.parametrize("number", ["123456", "123456789012", "1234567890123456"])
def test_each_tag_has_a_url(number: str) -> None:
    """Tag, service and number are one DNS label; a longer one has no URL that could be known beforehand."""
    names = naming(LONG, number)
    label = names.host(names.tag("0123456789abcdef")).partition(".")[0]
    assert len(label) <= 63
    assert label.startswith("r01234567---")


def test_a_revision_begins_with_its_services_name() -> None:
    """Cloud Run takes no other, and none longer than a label."""
    names = naming(LONG)
    assert names.revision("0123456789abcdef").startswith(f"{names.service()}-")
    assert len(names.revision("0123456789abcdef")) <= 63


def test_labels_are_googles() -> None:
    """Upper case and other signs are replaced: Google takes neither."""
    found = naming("shop").labels({"Team": "A & B"})
    assert found["team"] == "a___b"
    assert found["stack"] == "prod_eu"


def test_accounts_are_named_by_their_address() -> None:
    """Bindings name an account by the address that it will have."""
    assert naming("shop").member("server").startswith("serviceAccount:")
    assert naming("shop").member("server").endswith("@team-project.iam.gserviceaccount.com")
