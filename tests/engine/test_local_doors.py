"""A local backend called below a path, by further names and from further pages: served, and verified so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import urllib3

from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("local-doors")]

PREFIX = "/team/ml"
SEARCH = "/api/2.0/mlflow/experiments/search"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack with all of them."""
    made = LocalStack(tmp_path_factory.mktemp("doors") / "stack")
    made.write_settings(
        network={"pathPrefix": PREFIX},
        access={"hosts": ["second.example", "third.example:8443"], "origins": ["https://app.example"]},
    )
    try:
        made.must_up()
        yield made
    finally:
        made.close()


def status(url: str, **headers: str) -> int:
    """Return what a write is answered with."""
    sent = {"content-type": "application/json", **headers}
    return urllib3.request("POST", url, body=b'{"max_results": 1}', headers=sent, timeout=10, retries=False).status


def test_a_client_and_a_browser_find_the_server_below_its_path(named: LocalStack) -> None:
    """The tracking URL has the path; the page and its scripts load, which the verification has seen too."""
    url = named.output("trackingUrl")
    assert url.endswith(PREFIX)
    assert status(url + SEARCH) == 200
    assert {check["name"]: check["result"] for check in named.report()["checks"]}["ui"] == "pass"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("second.example", 200),
        ("second.example:9000", 200),
        ("third.example:8443", 200),
        ("third.example", 200),
        ("third.example:9000", 403),
        ("fourth.example", 403),
    ],
)
def test_hosts_of_the_settings_are_accepted_and_no_others(named: LocalStack, host: str, expected: int) -> None:
    """The front lets a host pass with a port and without."""
    assert status(named.output("trackingUrl") + SEARCH, host=host) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("https://app.example", 200), ("http://second.example", 200), ("https://app.example:8443", 403)],
)
def test_pages_of_the_settings_may_write_and_no_others(named: LocalStack, origin: str, expected: int) -> None:
    """The origin of each further host is one of them."""
    assert status(named.output("trackingUrl") + SEARCH, origin=origin) == expected


def test_a_new_server_is_verified_below_the_same_path(named: LocalStack) -> None:
    """At an address of its own, before users meet it: the path is the server's, and loopback is always let in."""
    before = named.output("release")["revision"]
    named.write_settings(server={"requestTimeout": 290})
    named.must_up()
    assert named.output("release")["revision"] != before
    assert status(named.output("trackingUrl") + SEARCH) == 200


def test_each_was_tried_by_the_verification(named: LocalStack) -> None:
    """The report names them, so that a person sees what was tried."""
    sentences = {check["name"]: check["sentence"] for check in named.report()["checks"]}
    for host in ("second.example", "third.example:8443"):
        assert host in sentences["host"]
    assert "https://app.example" in sentences["origin"]
