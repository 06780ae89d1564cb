"""The preview command on the ecs target with the real engine: the shipped stacks, against emulated AWS.

The stand-in `aws` provider checks what the stack registers; nothing is made. The image is a real one, in a registry on
loopback, for preflight looks at it.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import boto3
import jsonschema
import pytest
import yaml

from mlflow_backend.commands import preview
from mlflow_backend.contract import ExitCode
from mlflow_backend.preflight.image import VERSION_LABEL
from mlflow_backend.server import parse_version
from mlflow_backend.vulnerabilities.table import of_version
from scripts import up
from tests.components.ecs.conftest import DEPRECATED
from tests.components.preflight.images import LABELS, Store, registry
from tests.engine.project import ROOT
from tests.engine.stack import LocalStack
from tests.rig.standin import plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.filterwarnings(DEPRECATED)]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A repository of a real registry on loopback."""
    with registry() as running:
        yield running


@pytest.fixture(scope="module")
def emulated() -> Iterator[dict[str, str]]:
    """Plain moto, and the environment by which everything finds it: a preview only reads."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - half a second, for this file only

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    server.stop()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The stack `dev` as it ships, in a project of its own."""
    stack = LocalStack(tmp_path_factory.mktemp("dev") / "stack", name="dev")
    plugin.install(stack.folder / "home", "pulumi_aws")
    yield stack
    stack.close()


def _reported(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, emulated: dict[str, str], settings: dict[str, Any], to: Path
) -> tuple[int, dict[str, Any]]:
    stack.settings = settings
    stack.write_settings()
    monkeypatch.chdir(stack.project)
    for name, value in {**stack.environment, **emulated}.items():
        monkeypatch.setenv(name, value)
    with to.open("w", encoding="utf-8") as shown, contextlib.redirect_stdout(shown):
        code = preview.main(["--stack", stack.name, "--json", "--detailed-exit-code"])
    document: dict[str, Any] = json.loads(to.read_text(encoding="utf-8"))
    return code, document


def _shipped(name: str) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))["config"]
    return {key.removeprefix("mlflow-backend:"): value for key, value in config.items()}


def test_the_first_preview_of_dev(
    dev: LocalStack, store: Store, emulated: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything would be created, preflight has pinned the image, and no mandatory policy is violated.

    What the engine cannot know yet is not evaluated, and was judged as it is rendered.
    """
    digest = store.image("good")
    settings = _shipped("dev")
    settings["server"] = {**settings["server"], "image": f"{store.host}/mlflow:good"}
    code, document = _reported(dev, monkeypatch, emulated, settings, tmp_path / "report.json")
    assert document["refusals"] == []
    assert document["errors"] == []
    assert code is ExitCode.CHANGES
    jsonschema.validate(document, json.loads((ROOT / "schema" / "preview-1.json").read_text()))
    assert document["after"]["imageDigest"] == digest
    assert {each["check"]: each["outcome"] for each in document["preflight"]}["image platform"] == "pass"
    policies = {each["name"]: each for each in document["policies"]}
    assert not [each for each in policies.values() if each["outcome"] == "violated" and each["level"] == "mandatory"]
    assert policies["listener-tls"]["outcome"] == "violated"
    assert policies["no-plain-secrets"]["outcome"] == "not evaluated"
    assert policies["no-plain-secrets"]["evaluated"] > 0
    for judged in ("ingress-closed", "cache-private", "image-architecture"):
        assert policies[judged]["outcome"] == "passed", policies[judged]
    assert "stateful-protected" not in policies
    billed = {each["key"]: each["after"] for each in document["billed"]}
    assert billed["fargate-vcpu"] == 1
    assert billed["rds-instance:db.t4g.micro"] == 1
    assert "nat-gateway" not in billed


PLANTED: dict[str, dict[str, Any]] = {
    "server": {"extraFlags": {"pl4nted-flag": "pl4nted-value"}},
    "tags": {"note": "pl4nted-tag"},
    "verify": {"extraChecks": [{"name": "mine", "path": "/pl4nted-path", "headers": {"x-key": "env:pl4nted_header"}}]},
    "aws": {
        "permissionsBoundary": "arn:aws:iam::123456789012:policy/pl4nted-boundary",
        "database": {"instanceClass": "db.t4g.micro", "user": "pl4nted_user"},
        "monitoring": {"email": "pl4nted@example.com"},
    },
}
"""Words of one's own in each section that takes some; the target has a use for all of them."""
_NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
# Preflight does not find these, and says so.
MISSING = {"registrySecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:pl4nted-login-AbCdEf"}


@pytest.mark.parametrize(("more", "ends"), [({}, ExitCode.DONE), (MISSING, ExitCode.REFUSED)])
def test_no_secret_setting_is_in_any_output(
    dev: LocalStack,
    store: Store,
    emulated: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    more: dict[str, str],
    ends: ExitCode,
) -> None:
    """Sections that were set with --secret reach resources, policies and preflight, and no form of the report."""
    store.image("good")
    settings = _shipped("dev")
    settings["server"] = {**settings["server"], "image": f"{store.host}/mlflow:good"}
    settings["aws"] = {**settings["aws"], **more}
    dev.settings = {key: value for key, value in settings.items() if key not in PLANTED}
    dev.write_settings()
    for section, planted in PLANTED.items():
        value = json.dumps({**settings.get(section, {}), **planted})
        told = dev.pulumi("config", "set", "--stack", dev.name, "--secret", f"mlflow-backend:{section}", value)
        assert told.ok, told.text
    monkeypatch.chdir(dev.project)
    for name, value in {**dev.environment, **emulated}.items():
        monkeypatch.setenv(name, value)
    iam = boto3.client("iam")
    if not iam.list_policies(Scope="Local")["Policies"]:
        iam.create_policy(PolicyName="pl4nted-boundary", PolicyDocument=json.dumps(_NOTHING))
    comment = tmp_path / "comment.md"
    for flags in (["--json"], []):
        assert preview.main(["--stack", dev.name, "--markdown", str(comment), *flags]) is ends
    shown = capsys.readouterr()
    for output in (shown.out, shown.err, comment.read_text(encoding="utf-8")):
        assert "pl4nted" not in output
    assert "Preview of dev" in shown.out


def test_an_image_for_another_cpu_is_refused_by_preflight(
    dev: LocalStack, store: Store, emulated: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit code 3, and the report says what was found."""
    store.image("arm", architecture="arm64")
    settings = _shipped("dev")
    settings["server"] = {**settings["server"], "image": f"{store.host}/mlflow:arm"}
    code, document = _reported(dev, monkeypatch, emulated, settings, tmp_path / "report.json")
    assert code is ExitCode.REFUSED
    assert document["verdict"] == "refused"
    assert any("exec format error" in each for each in document["refusals"])
    assert [each["outcome"] for each in document["preflight"]] == ["fail"]


def test_a_vulnerable_version_is_refused_by_preview_and_by_update(
    dev: LocalStack, store: Store, emulated: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both refuse before AWS is asked, and name what is known; each name accepted lets the preview go on."""
    version = "3.10.1"
    digest = store.image("old", labels={**LABELS, VERSION_LABEL: version})
    settings = _shipped("dev")
    settings["server"] = {**settings["server"], "mlflowVersion": version, "image": f"{store.host}/mlflow:old"}
    accepted = [known.id for known in of_version(parse_version(version)) if known.needs != "jobs"]
    code, document = _reported(dev, monkeypatch, emulated, settings, tmp_path / "report.json")
    assert code is ExitCode.REFUSED
    assert any(accepted[0] in each for each in document["refusals"])
    assert document["changes"] == []
    update = dev.up()
    assert not update.ok
    assert accepted[0] in update.text
    assert [kind for kind in dev.resources() if not kind.startswith("pulumi:pulumi:")] == []
    settings["policy"] = {**settings["policy"], "acceptVulnerabilities": accepted}
    code, document = _reported(dev, monkeypatch, emulated, settings, tmp_path / "report.json")
    assert (code, document["after"]["imageDigest"]) == (ExitCode.CHANGES, digest)
    assert any(accepted[0] in each for each in document["warnings"])


def test_a_violation_stops_an_update_before_anything_is_made(
    dev: LocalStack, store: Store, emulated: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What `make up` and the deploy job run ends with 3, says which policy, and leaves a state without resources.

    Without its preview the engine would judge the whole stack at the end of the update, after it made everything.
    """
    store.image("good")
    settings = _shipped("dev")
    settings["server"] = {**settings["server"], "image": f"{store.host}/mlflow:good"}
    settings["policy"] = {**settings["policy"], "levels": {"listener-tls": "advisory"}}
    dev.settings = settings
    dev.write_settings()
    monkeypatch.chdir(dev.project)
    for name, value in {**dev.environment, **emulated}.items():
        monkeypatch.setenv(name, value)
    told = tmp_path / "preview.md"
    assert up.main(["--stack", dev.name, "--markdown", str(told)]) == ExitCode.REFUSED
    assert "stateful-protected" in told.read_text(encoding="utf-8")
    assert [kind for kind in dev.resources() if not kind.startswith("pulumi:pulumi:")] == []
