"""Images looked at through a real registry: existence, platform, labels, digest; single manifests and indexes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import PlatformFailed, UsageError
from mlflow_backend.findings import Outcome, table
from mlflow_backend.image_reference import Reference, parse
from mlflow_backend.preflight import image
from mlflow_backend.preflight.image import ImageRequirements
from mlflow_backend.preflight.manifests import DENIED, Platform, digest_of, inspect
from mlflow_backend.preflight.registry import Login, Registry
from tests.components.preflight.images import DOCKER_INDEX, DOCKER_MANIFEST, LABELS, OCI_INDEX, OCI_MANIFEST, Store
from tests.loopback_http import Handler, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AMD64, ARM64 = Platform(system="linux", architecture="amd64"), Platform(system="linux", architecture="arm64")
WANTED = ImageRequirements(platform=AMD64, mlflow_version="3.17.2", drivers=frozenset({"psycopg2", "boto3"}))


def checked(store: Store, asked: str, wanted: ImageRequirements = WANTED) -> image.Inspection:
    """Look at an image of the registry."""
    separator = "@" if asked.startswith("sha256:") else ":"
    return image.check(
        Registry(store.host, store.repository), parse(f"{store.host}/{store.repository}{separator}{asked}"), wanted
    )


def outcomes(inspection: image.Inspection) -> dict[str, Outcome]:
    """Return what each check found."""
    return {finding.check: finding.outcome for finding in inspection.findings}


ALL_PASSED = dict.fromkeys(
    ("image exists", "image platform", "image version", "image drivers", "image user"), Outcome.PASS
)


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_single_manifest_is_checked_by_its_configuration(store: Store, media_type: str) -> None:
    """Its platform stands in the configuration only."""
    digest = store.image("single", media_type=media_type)
    inspection = checked(store, "single")
    assert outcomes(inspection) == ALL_PASSED
    assert inspection.pinned == f"{store.host}/mlflow@{digest}"
    assert dict(inspection.heads) == {"tracking": "dc11669786a5", "auth": "f1a2b3c4d5e6"}


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX])
def test_an_index_is_checked_by_its_platforms(store: Store, media_type: str) -> None:
    """The index is pinned, and the labels are those of the platform that tasks run on."""
    old = {**LABELS, "mlflow-backend.mlflow-version": "3.4.0"}
    amd64, arm64 = store.image("a"), store.image("b", architecture="arm64", labels=old)
    digest = store.index("multi", (amd64, "amd64"), (arm64, "arm64"), media_type=media_type)
    inspection = checked(store, "multi")
    assert outcomes(inspection) == ALL_PASSED
    assert inspection.pinned is not None
    assert inspection.pinned.endswith(f"@{digest}")
    on_arm = checked(store, "multi", ImageRequirements(platform=ARM64, mlflow_version="3.17.2", drivers=frozenset()))
    assert outcomes(on_arm)["image version"] is Outcome.FAIL


@pytest.mark.parametrize("kind", ["single", "index"])
def test_the_wrong_architecture_is_named_with_what_would_happen(store: Store, kind: str) -> None:
    """A real deployment failed with `exec format error`, minutes after a green preview."""
    digest = store.image("arm-only", architecture="arm64")
    if kind == "index":
        store.index("arm-index", (digest, "arm64"))
    inspection = checked(store, "arm-only" if kind == "single" else "arm-index")
    (finding,) = [each for each in inspection.findings if each.outcome is Outcome.FAIL]
    assert finding.prop == "server.image"
    assert "tasks run on linux/amd64, and the image is for linux/arm64: its" in finding.message
    assert "exec format error" in finding.message
    assert "--platform linux/amd64" in finding.fix


@pytest.mark.parametrize(
    ("check", "labels", "user", "told"),
    [
        ("image version", {}, "10001", "has no label mlflow-backend.mlflow-version"),
        ("image version", {**LABELS, "mlflow-backend.mlflow-version": "2.9.2"}, "10001", "it holds MLflow 2.9.2"),
        ("image drivers", {**LABELS, "mlflow-backend.drivers": "psycopg2"}, "10001", "lacks boto3"),
        ("image drivers", {"mlflow-backend.mlflow-version": "3.17.2"}, "10001", "lacks boto3, psycopg2"),
        ("image user", LABELS, "", "runs as root"),
        ("image user", LABELS, "0:0", "runs as root"),
        ("image user", LABELS, "root", "runs as root"),
    ],
)
def test_labels_are_compared_with_the_settings(
    store: Store, check: str, labels: dict[str, str], user: str, told: str
) -> None:
    """Each failure names the finding and a fix; nothing of the image was pulled for it."""
    store.image("labelled", labels=labels, user=user)
    findings = {finding.check: finding for finding in checked(store, "labelled").findings}
    assert findings[check].outcome is Outcome.FAIL
    assert told in findings[check].message
    assert findings[check].fix


def test_a_missing_image_fails(store: Store) -> None:
    """The finding is the same by tag, by digest, and without a repository."""
    for asked in ("nope", f"sha256:{'0' * 64}"):
        inspection = checked(store, asked)
        assert outcomes(inspection) == {"image exists": Outcome.FAIL}
        assert inspection.pinned is None
    assert outcomes(checked(Store(host=store.host, repository="nowhere"), "x")) == {"image exists": Outcome.FAIL}


def test_a_tag_that_moves_is_another_image(store: Store) -> None:
    """What is pinned is what was looked at."""
    first = store.image("moving", labels=LABELS)
    before = checked(store, "moving").pinned
    second = store.image("moving", labels={**LABELS, "build": "2"})
    after = checked(store, "moving").pinned
    assert (before, after) == (f"{store.host}/mlflow@{first}", f"{store.host}/mlflow@{second}")


def test_a_manifest_without_a_container_is_reported(store: Store) -> None:
    """A registry may hold anything."""
    store.manifest("chart", {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []})
    (finding,) = checked(store, "chart").findings
    assert finding.outcome is Outcome.FAIL
    assert "names no configuration" in finding.message


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("r.example.com/a/b:1", Reference(registry="r.example.com", repository="a/b", tag="1")),
        ("localhost/a:1", Reference(registry="localhost", repository="a", tag="1")),
        ("r:5000/a:1", Reference(registry="r:5000", repository="a", tag="1")),
        (
            f"r.io/a:1@sha256:{'a' * 64}",
            Reference(registry="r.io", repository="a", tag="1", digest=f"sha256:{'a' * 64}"),
        ),
    ],
)
def test_references_are_read_and_written(text: str, reference: Reference) -> None:
    """The same name comes out as went in."""
    assert parse(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize("text", ["", "mlflow", "mlflow:1", "team/mlflow:1", "r.io/a", "r.io/A:1", "r.io/a@sha256:x"])
def test_what_an_engine_would_fill_in_is_refused(text: str) -> None:
    """Without a registry, and without tag or digest, engines differ in what they take."""
    with pytest.raises(UsageError):
        parse(text)


def test_ecr_is_recognised() -> None:
    """Account and region stand in the name."""
    found = parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlflow:1")
    assert found.ecr == ("123456789012", "eu-west-1")
    assert parse("123456789012.dkr.ecr.eu-west-1.example.com/mlflow:1").ecr is None


class _Handler(Handler):
    say: Callable[[str, str | None], tuple[int, dict[str, str], bytes]]

    def reply(self) -> None:
        status, headers, body = type(self).say(self.path, self.headers.get("Authorization"))
        self.answer(status, body, headers)


@pytest.fixture
def odd() -> Iterator[tuple[type[_Handler], str]]:
    """A registry that does whatever a test says, for what a good one never does."""
    handler = type("Odd", (_Handler,), {})
    with LoopbackServer(handler) as server:
        yield handler, f"127.0.0.1:{server.port}"


CONFIG = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": LABELS, "User": "1"}}).encode()
MANIFEST = json.dumps({"config": {"digest": digest_of(CONFIG)}}).encode()


def _good(path: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, CONFIG if "/blobs/" in path else MANIFEST


def test_a_registry_with_a_login_is_logged_in_to(odd: tuple[type[_Handler], str]) -> None:
    """The challenge names where to get a token, with the login; without a login, anonymously."""
    handler, host = odd
    asked: list[tuple[str, str | None]] = []

    def answer(path: str, authorization: str | None) -> tuple[int, dict[str, str], bytes]:
        asked.append((path, authorization))
        if path.startswith("/token"):
            return 200, {}, json.dumps({"token": "t0ken"}).encode()
        if authorization != "Bearer t0ken":
            challenge = f'Bearer realm="http://{host}/token",service="registry",scope="repository:mlflow:pull"'
            return 401, {"WWW-Authenticate": challenge}, b""
        return _good(path)

    handler.say = staticmethod(answer)  # type: ignore[assignment]
    found = inspect(Registry(host, "mlflow", Login(user="u", password="p:w")), "1", AMD64)
    assert found.platforms == (AMD64,)
    path, authorization = next(each for each in asked if each[0].startswith("/token"))
    assert path == "/token?service=registry&scope=repository%3Amlflow%3Apull"
    assert authorization == f"Basic {base64.b64encode(b'u:p:w').decode()}"
    asked.clear()
    inspect(Registry(host, "mlflow"), "1", AMD64)
    assert next(each for each in asked if each[0].startswith("/token"))[1] is None


def test_basic_authentication_works_too(odd: tuple[type[_Handler], str]) -> None:
    """Small registries have no token service."""
    handler, host = odd
    right = f"Basic {base64.b64encode(b'u:p').decode()}"

    def answer(path: str, authorization: str | None) -> tuple[int, dict[str, str], bytes]:
        return _good(path) if authorization == right else (401, {"WWW-Authenticate": 'Basic realm="r"'}, b"")

    handler.say = staticmethod(answer)  # type: ignore[assignment]
    assert inspect(Registry(host, "mlflow", Login(user="u", password="p")), "1", AMD64).user == "1"
    with pytest.raises(PlatformFailed) as caught:
        Registry(host, "mlflow").manifest("1")
    assert caught.value.code in DENIED


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda path: (200, {}, b"<html>"), "not JSON"),
        (lambda path: (200, {}, b"[]"), "not a JSON object"),
        (lambda path: (200, {}, b"x" * (4 * 1024 * 1024 + 1)), "more than 4194304 bytes"),
        (lambda path: (200, {}, b"{}" if "/blobs/" in path else MANIFEST), "another configuration"),
        (lambda path: (403, {}, b""), "answered 403"),
        (lambda path: (500, {}, b""), "answered 500"),
    ],
)
def test_a_registry_with_a_false_digest_is_not_believed(
    odd: tuple[type[_Handler], str], answer: Callable[[str], tuple[int, dict[str, str], bytes]], told: str
) -> None:
    """Everything that is read must match its digest."""
    handler, host = odd
    handler.say = staticmethod(lambda path, _: answer(path))  # type: ignore[assignment]
    with pytest.raises(PlatformFailed, match=told):
        inspect(Registry(host, "mlflow"), "1", AMD64)


def test_another_manifest_than_asked_for_is_refused(odd: tuple[type[_Handler], str]) -> None:
    """A digest is a promise."""
    handler, host = odd
    handler.say = staticmethod(lambda path, _: _good(path))  # type: ignore[assignment]
    with pytest.raises(PlatformFailed, match="another manifest"):
        inspect(Registry(host, "mlflow"), f"sha256:{'0' * 64}", AMD64)
    index = json.dumps({"manifests": [
        {"digest": f"sha256:{'1' * 64}", "platform": {"os": "linux", "architecture": "amd64"}},
    ]}).encode()  # fmt: skip
    handler.say = staticmethod(  # type: ignore[assignment]
        lambda path, _: (200, {}, index) if path.endswith("/1") else _good(path)
    )
    with pytest.raises(PlatformFailed, match="than its index names"):
        inspect(Registry(host, "mlflow"), "1", AMD64)


@pytest.mark.parametrize(("asked", "outcome"), [("3.17.2", Outcome.FAIL), (f"sha256:{'a' * 64}", Outcome.SKIP)])
def test_what_may_not_be_read_is_skipped_only_where_it_is_pinned(
    odd: tuple[type[_Handler], str], asked: str, outcome: Outcome
) -> None:
    """A tag has to be resolved, so that not being allowed to is a failure; a digest stands for itself, visibly."""
    handler, host = odd
    handler.say = staticmethod(lambda path, _: (403, {}, b""))  # type: ignore[assignment]
    inspection = checked(Store(host=host), asked)
    assert [finding.outcome for finding in inspection.findings] == [outcome]
    assert (inspection.pinned is None) is (outcome is Outcome.FAIL)
    assert table(inspection.findings)[0].startswith(outcome.upper())


def test_a_registry_that_is_away_fails_quickly() -> None:
    """Nothing listens there; no credential is in the message."""
    with pytest.raises(PlatformFailed, match="cannot be reached") as caught:
        Registry("127.0.0.1:9", "mlflow", Login(user="u", password="hunter2")).manifest("1")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(Login(user="u", password="hunter2"))


def test_missing_and_unreadable_are_distinguished(store: Store) -> None:
    """'Not there' is an answer, 'not asked' is none."""
    with pytest.raises(PlatformFailed):
        Registry(store.host, "mlflow").manifest("never-pushed")


def test_plain_http_is_for_this_machine_only() -> None:
    """Credentials never cross a network unencrypted."""
    roots: dict[str, Any] = {host: Registry(host, "m")._root for host in ("r.example.com", "localhost:5000", "[::1]:1")}
    assert [root.partition(":")[0] for root in roots.values()] == ["https", "http", "http"]
