"""The live side of a backend on Cloud Run, against emulated Google Cloud that starts each revision's containers."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend import rollout
from mlflow_backend import targets as registry
from mlflow_backend.cloudrun import candidate, traffic
from mlflow_backend.cloudrun.locator import CloudRunLocator
from mlflow_backend.cloudrun.oneshot import CloudRunJob
from mlflow_backend.cloudrun.platform import CloudRunPlatform
from mlflow_backend.cloudrun.provider import RolloutProvider
from mlflow_backend.cloudrun.render.service import RELEASE_LABEL, VERSION_LABEL, Traffic, targets
from mlflow_backend.contract import PlatformFailed, Refused, VerificationFailed
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.gcp import secrets
from mlflow_backend.gcp.api import ENDPOINTS, Api
from mlflow_backend.gcp.naming import Naming
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.store import GcsStore
from mlflow_backend.gcp.vault import SecretManagerVault
from mlflow_backend.pace import Pace
from mlflow_backend.releases import resource, steps, update
from mlflow_backend.releases.plan import Step
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.verification import execution
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report
from tests.components.messages import raised
from tests.rig.clock import TINY
from tests.rig.gcp import discovery
from tests.rig.gcp.rig import ADMINISTRATOR, GcpRig
from tests.rig.gcp.scene import VERSION, Scene
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow_backend.cloudrun.staged import StagedRevision
    from mlflow_backend.verify.subjects import Subject

_SOON_S = 60
_QUICK = Pace(poll_s=0.05)


class AsAdministrator:
    """The rig's own tokens: the names by which a key file's are had do not resolve in this process."""

    def __init__(self, rig: GcpRig) -> None:
        """Nothing is asked yet."""
        self._rig = rig

    def headers(self) -> dict[str, str]:
        """Return those of the administrator."""
        return {"Authorization": f"Bearer {self._rig.tokens.access(ADMINISTRATOR)}"}

    def renew(self) -> None:
        """Do nothing: each call has a token of its own."""


@pytest.fixture(scope="module")
def gcp(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpRig]:
    """Emulated Google Cloud for containers that start at once."""
    with GcpRig(tmp_path_factory.mktemp("gcp"), TINY) as made:
        yield made


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let locators name the target."""
    monkeypatch.setitem(registry.MODULES, "cloudrun", "mlflow_backend.cloudrun.target")


@pytest.fixture
def api(gcp: GcpRig, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The product's client, which calls the rig in Google's place."""
    roots = {host: gcp.root(host.partition(".")[0]) for host in discovery.hosts()}
    monkeypatch.setenv(ENDPOINTS, json.dumps(roots))
    made = Api(pace=_QUICK)
    made.credentials = AsAdministrator(gcp)  # type: ignore[assignment]
    return made


@pytest.fixture
def platform(gcp: GcpRig, api: Api, request: pytest.FixtureRequest) -> CloudRunPlatform:
    """A backend's live side, under a name of the test's own."""
    locator = CloudRunLocator(
        stack=f"s{len(gcp.accounts.kept)}",
        project=gcp.project,
        number=gcp.number,
        region=gcp.region,
        stack_project="shop",
        name="mlflow",
        url="https://mlflow.example.com",
        bucket="bucket",
        # Names of the rig do not resolve in this process.
        inside=True,
        least=1,
        most=3,
    )
    made = CloudRunPlatform(locator, api)
    made.run.pace = _QUICK
    return made


@pytest.fixture
def scene(gcp: GcpRig, platform: CloudRunPlatform) -> Iterator[Scene]:
    """The service that the platform means; what the test made is deleted."""
    made = Scene(gcp, platform.naming.service())
    yield made
    if made.resource in gcp.services.kept:
        made.delete()
    until(lambda: gcp.live == [], what="the end of all instances", deadline_s=_SOON_S)


def template(scene: Scene, number: int, **more: Any) -> dict[str, Any]:
    """Return the template of a release."""
    found = {**scene.env(RELEASE=str(number)), "revision": revision(scene, number), **more}
    found["labels"] = {VERSION_LABEL: VERSION.replace(".", "_"), RELEASE_LABEL: f"{number}"}
    return found


def revision(scene: Scene, number: int) -> str:
    """Return the name of a release's revision."""
    return f"{scene.short}-{tag(number)}"


def tag(number: int) -> str:
    """Return its tag."""
    return f"r{number:08d}"


def deployed(scene: Scene) -> None:
    """Deploy a first release, as the program does."""
    scene.create(scene.body(template(scene, 1), traffic=targets(Traffic(first=tag(1)))))


def props(platform: CloudRunPlatform, scene: Scene, number: int, **more: Any) -> dict[str, Any]:
    """Return the inputs of a candidate."""
    kept = {tag(number): revision(scene, number), **traffic.tags(platform.run.service())}
    return {
        "locator": platform.locator.document(),
        "revision": revision(scene, number),
        "tag": tag(number),
        "template": json.dumps(template(scene, number, **more)),
        "traffic": json.dumps(targets(Traffic(serving=revision(scene, number), kept=kept))),
        "pinned": False,
        "verification": {},
    }


def answers(scene: Scene, url: str) -> None:
    """Wait until a revision answers at its tag."""
    until(lambda: scene.rig.ask(f"{url}/health").status == 200, what=f"an answer of {url}", deadline_s=_SOON_S)


def report(subject: Subject, verdict: Result) -> Report:
    """Return what a verification came to."""
    return Report(url=subject.url, profile="core", deadline_s=1, started="then", finished="now", verdict=verdict)


def test_a_command_reaches_google_with_its_own_credentials(gcp: GcpRig) -> None:
    """The key file that the environment names is all that is needed."""
    path = f"v2/projects/{gcp.project}/locations/{gcp.region}/services/none"
    program = f"from mlflow_backend.gcp.api import *; print(Api().get(RUN, {path!r}))"
    command = gcp.command(sys.executable, "-c", program)
    said = subprocess.run(command, env=gcp.environment, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "None"


def test_nothing_is_deployed(platform: CloudRunPlatform) -> None:
    """Every question has an answer before there is a service."""
    assert (platform.revisions(), platform.current(), platform.busy(), platform.heads()) == ((), None, None, None)
    assert list(platform.parts()) == []
    with raised("cloudrun-revision-gone"):
        platform.describe("none")
    with raised("cloudrun-service-missing"):
        platform.stop_servers()


def test_a_release_is_read_from_its_revision(platform: CloudRunPlatform, scene: Scene) -> None:
    """Version, image and identity are the revision's own, so that a rollback needs nothing else."""
    deployed(scene)
    found = platform.describe(revision(scene, 1))
    assert (found.identity, found.release.mlflow_version) == ("1", VERSION)
    assert str(found.release.image_digest).startswith("sha256:")
    current = platform.current()
    assert current is not None
    assert (current.id, current.state) == (revision(scene, 1), "serving")


def test_the_first_answer_is_measured(gcp: GcpRig, platform: CloudRunPlatform, scene: Scene) -> None:
    """By the users' URL, from where it can be called: with the server's answer, or with why there is none."""
    deployed(scene)
    parts = {each.name: each for each in platform.parts()}
    assert parts["first answer"].state.startswith("not measured"), "it is reached within the network alone"
    outside = replace(platform.locator, url=platform.naming.url(), access="none", inside=False)
    locators = [outside, replace(outside, url=outside.url.replace("https://", "https://no-"))]
    program = "import sys, json; from mlflow_backend.cloudrun.warmth import *; from mlflow_backend.locator import *; "
    program += "[print(first_answer(from_document(each), {})) for each in json.loads(sys.argv[1])]"
    documents = json.dumps([each.document() for each in locators])
    command = gcp.command(sys.executable, "-c", program, documents)
    said = subprocess.run(command, env=gcp.environment, capture_output=True, text=True, timeout=60, check=True)
    first, second = said.stdout.splitlines()
    # How long it takes is the machine's.
    assert first.startswith(("warm, ", "cold, ")), first
    assert second.startswith("none: "), second


def test_a_candidate_gets_the_traffic_after_it(platform: CloudRunPlatform, scene: Scene, monkeypatch: Any) -> None:
    """While it is verified at its tag, users meet the old one; then they meet it, and the old one keeps its tag."""
    deployed(scene)
    seen: list[tuple[str | None, int]] = []

    def verified(found: StagedRevision, verify: Any) -> None:
        seen.append((platform.serving(), scene.rig.ask(f"{found.subject.url}/health").status))
        found.promote()

    monkeypatch.setattr(candidate, "open_releases", lambda _: _Releases(platform))
    monkeypatch.setattr(update, "serve", verified)
    candidate.verify(props(platform, scene, 2))
    assert seen == [(revision(scene, 1), 200)]
    assert platform.wait(revision(scene, 2), deadline_s=_SOON_S).serving
    assert traffic.tags(platform.run.service()) == {tag(1): revision(scene, 1), tag(2): revision(scene, 2)}
    assert [each.state for each in platform.revisions()] == ["serving", "stopped"]


def test_a_candidate_has_instances_although_a_migration_ended_all(
    platform: CloudRunPlatform, scene: Scene, monkeypatch: Any
) -> None:
    """What a migration stopped counts for revisions with a tag only, too: also one of an earlier, failed update."""
    deployed(scene)
    platform.stop_servers()
    until(lambda: scene.rig.live == [], what="the end of the instances", deadline_s=_SOON_S)

    def verified(found: StagedRevision, verify: Any) -> None:
        answers(scene, found.subject.url)
        found.promote()

    monkeypatch.setattr(candidate, "open_releases", lambda _: _Releases(platform))
    monkeypatch.setattr(update, "serve", verified)
    candidate.verify(props(platform, scene, 2))
    assert platform.wait(revision(scene, 2), deadline_s=_SOON_S).serving


def test_a_candidate_that_fails_its_checks_is_never_met(
    platform: CloudRunPlatform, scene: Scene, monkeypatch: Any
) -> None:
    """It starts, and is asked at its tag; the traffic never moved, and its tag is gone."""
    deployed(scene)
    seen: list[str | None] = []

    def verified(subject: Subject, **_more: Any) -> Report:
        answers(scene, subject.url)
        seen.append(platform.serving())
        return report(subject, Result.FAIL)

    monkeypatch.setattr(candidate, "open_releases", lambda _: _Releases(platform))
    monkeypatch.setattr(execution, "run_apart", verified)
    with pytest.raises(update.CandidateFailed):
        candidate.verify(props(platform, scene, 2))
    assert seen == [revision(scene, 1)]
    assert platform.serving() == revision(scene, 1)
    assert tag(2) not in traffic.tags(platform.run.service())


def test_a_candidate_that_does_not_start_leaves_nothing(
    platform: CloudRunPlatform, scene: Scene, monkeypatch: Any
) -> None:
    """The traffic never moved, its tag is gone, and the message has Google's words."""
    deployed(scene)
    monkeypatch.setattr(candidate, "open_releases", lambda _: _Releases(platform))
    broken = template(scene, 2)
    broken["containers"][0]["command"] = ["/bin/false"]
    given = {**props(platform, scene, 2), "template": json.dumps(broken)}
    with raised("revision-not-starting", revision(scene, 1), kind=PlatformFailed):
        candidate.verify(given)
    assert platform.serving() == revision(scene, 1)
    assert tag(2) not in traffic.tags(platform.run.service())


def test_what_a_killed_update_left_is_taken_away(platform: CloudRunPlatform, scene: Scene, monkeypatch: Any) -> None:
    """The next update sees the tag, and takes it away although nothing else has changed."""
    deployed(scene)
    monkeypatch.setattr(candidate, "open_releases", lambda _: _Releases(platform))
    before = scene.get()["traffic"]
    scene.patch(
        {"template": template(scene, 2), "traffic": [scene.to(revision(scene, 1)), scene.latest(0, tag=tag(2))]},
        updateMask="template,traffic",
    )
    given = {**props(platform, scene, 1), "traffic": json.dumps(before)}
    assert candidate.changed(given, given)
    candidate.verify(given)
    assert tag(2) not in traffic.tags(platform.run.service())
    assert platform.serving() == revision(scene, 1)


def test_the_tags_that_a_migration_took_are_given_again(
    platform: CloudRunPlatform, scene: Scene, monkeypatch: Any
) -> None:
    """By the next update, also if the one that migrated was killed: Google deletes old revisions without a tag."""
    deployed(scene)
    monkeypatch.setattr(candidate, "open_releases", lambda _: _Releases(platform))
    scene.patch({"template": template(scene, 2)}, updateMask="template")
    platform.activate(revision(scene, 2))
    wanted = {tag(number): revision(scene, number) for number in (1, 2)}
    given = {
        **props(platform, scene, 2),
        "traffic": json.dumps(targets(Traffic(serving=revision(scene, 2), kept=wanted))),
    }
    platform.stop_servers()
    platform.resume_servers()
    assert candidate.changed(given, given)
    candidate.verify(given)
    assert traffic.tags(platform.run.service()) == wanted
    assert platform.serving() == revision(scene, 2)
    assert not candidate.changed(given, given)


def test_an_older_revision_is_gone_back_to(platform: CloudRunPlatform, scene: Scene) -> None:
    """Only the traffic changes: the older revision is the very one that was verified, and no new one is made."""
    deployed(scene)
    scene.patch({"template": template(scene, 2)}, updateMask="template")
    assert platform.wait(revision(scene, 2), deadline_s=_SOON_S).serving
    platform.activate(revision(scene, 1))
    assert platform.wait(revision(scene, 1), deadline_s=_SOON_S).serving
    assert len(platform.revisions()) == 2
    assert not platform.wait(revision(scene, 2), deadline_s=_SOON_S).serving
    with pytest.raises(Refused):
        platform.activate("gone")


def test_what_a_rollback_left_is_rolled_out_again(
    platform: CloudRunPlatform, scene: Scene, monkeypatch: Any, tmp_path: Path
) -> None:
    """Its pin is lifted, and Pulumi changes nothing, because its state still has the traffic of before."""
    deployed(scene)
    scene.patch({"template": template(scene, 2)}, updateMask="template")
    newest = revision(scene, 2)
    assert platform.wait(newest, deadline_s=_SOON_S).serving
    platform.store = FileStore(tmp_path)
    for module in (rollout, resource):
        monkeypatch.setattr(module, "open_releases", lambda _: DeployedBackend(platform))
    given = {"locator": platform.locator.document(), "revision": newest, "deadline": _SOON_S}
    assert not RolloutProvider().diff(newest, given, given).changes
    platform.activate(revision(scene, 1))
    assert platform.wait(revision(scene, 1), deadline_s=_SOON_S).serving
    assert RolloutProvider().diff(newest, given, given).changes
    RolloutProvider().create(given)
    assert platform.serving() == newest


def test_servers_end_and_come_back(platform: CloudRunPlatform, scene: Scene) -> None:
    """A migration has the database for itself; afterwards the service has as many instances as before."""
    deployed(scene)
    url = f"https://{platform.naming.host(tag(1))}"
    answers(scene, url)
    platform.stop_servers()
    until(lambda: scene.rig.live == [], what="the end of the instances", deadline_s=_SOON_S)
    assert platform.serving() is None
    # Nor does one start for whoever knows the address of a tag.
    assert scene.rig.ask(f"{url}/health").status == 404
    platform.resume_servers()
    assert platform.wait(revision(scene, 1), deadline_s=_SOON_S).serving
    found = scene.get()["scaling"]
    assert (found["minInstanceCount"], found["maxInstanceCount"]) == (1, 3)


def test_a_staged_revision_is_discarded(platform: CloudRunPlatform, scene: Scene) -> None:
    """A rollback verifies at a tag first; a red one leaves the traffic where it is, and the tag goes."""
    deployed(scene)
    scene.patch({"template": template(scene, 2)}, updateMask="template")
    platform.wait(revision(scene, 2), deadline_s=_SOON_S)
    found = platform.stage(revision(scene, 1))
    assert found is not None
    assert scene.rig.ask(f"{found.subject.url}/health").status == 200
    assert platform.serving() == revision(scene, 2)
    assert traffic.tags(platform.run.service())[tag(1)] == revision(scene, 1)
    found.discard()
    assert platform.serving() == revision(scene, 2)
    assert tag(1) not in traffic.tags(platform.run.service())


@pytest.mark.parametrize("verdict", [Result.PASS, Result.INCONCLUSIVE, Result.FAIL])
def test_a_rollback_moves_the_traffic_after_its_verification(
    platform: CloudRunPlatform, scene: Scene, monkeypatch: Any, verdict: Result
) -> None:
    """Users meet the newer one meanwhile, and stay with it if the older one fails at its tag, which is gone then."""
    deployed(scene)
    scene.patch({"template": template(scene, 2)}, updateMask="template")
    assert platform.wait(revision(scene, 2), deadline_s=_SOON_S).serving
    seen: list[str | None] = []

    def verified(subject: Subject, **_more: Any) -> Report:
        answers(scene, subject.url)
        seen.append(platform.serving())
        return report(subject, verdict)

    monkeypatch.setattr(execution, "run_apart", verified)
    entry = {"to": revision(scene, 1), "steps": ["activate", "wait", "verify"], "profile": "core", "deadline_s": 60.0}
    red = verdict is Result.FAIL
    expected: contextlib.AbstractContextManager[Any] = (
        pytest.raises(VerificationFailed) if red else contextlib.nullcontext()
    )
    with expected:
        steps.ACTIONS[Step.ACTIVATE](DeployedBackend(platform), entry)
    assert seen == [revision(scene, 2)]
    goal = revision(scene, 2 if red else 1)
    assert platform.wait(goal, deadline_s=_SOON_S).serving
    assert (tag(1) in traffic.tags(platform.run.service())) is not red


def test_old_revisions_are_pruned(platform: CloudRunPlatform, scene: Scene) -> None:
    """What serves stays, and what is spared; a tag goes with its revision."""
    deployed(scene)
    for number in (2, 3, 4):
        scene.patch({"template": template(scene, number)}, updateMask="template")
    assert platform.wait(revision(scene, 4), deadline_s=_SOON_S).serving
    dropped = platform.prune(retain=1, spared=frozenset({revision(scene, 2)}))
    assert set(dropped) == {revision(scene, 1), revision(scene, 3)}
    assert {each.id for each in platform.revisions()} == {revision(scene, 4), revision(scene, 2)}


def test_two_who_change_it_both_succeed(platform: CloudRunPlatform, scene: Scene) -> None:
    """An etag that is not the newest is a conflict, after which the service is read again."""
    deployed(scene)
    times = iter(range(10))

    def edit(service: dict[str, Any]) -> dict[str, Any]:
        if next(times) == 0:
            scene.patch({"labels": {"other": "somebody"}}, updateMask="labels")
        return {"labels": {**service.get("labels", {}), "own": "one"}}

    platform.run.change(edit)
    assert scene.get()["labels"] == {"other": "somebody", "own": "one"}


def test_a_job_runs_once_and_is_read(gcp: GcpRig, platform: CloudRunPlatform, scene: Scene) -> None:
    """Its arguments are the call's, its exit code and its lines come back, those that Google keeps by fields too."""
    container = {"name": "tool", "image": scene.image(), "command": ["sh"], "args": ["-c", "exit 1"]}
    body: dict[str, Any] = {
        "template": {"template": {"serviceAccount": scene.account, "maxRetries": 0, "containers": [container]}}
    }
    scene.done(gcp.call("POST", f"{scene.parent}/jobs", body, jobId="tool"))
    job = CloudRunJob(cloud_run=platform.run, job="tool")
    script = """echo one; echo '{"two": 2}'; exit 3"""
    found = job.run(["sh", "-c", script], deadline_s=30, complete=lambda lines: len(lines) > 1)
    assert (found.exit_code, found.lines) == (3, ("one", '{"two": 2}'))
    assert job.run(["sh", "-c", "exit 0"], deadline_s=30).exit_code == 0
    scene.done(gcp.call("DELETE", f"{scene.parent}/jobs/tool"))


def test_secrets_are_kept_by_version(gcp: GcpRig, api: Api) -> None:
    """A value is read by its number or as the newest one; one that is not there is none."""
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    gcp.call("POST", f"v1/projects/{gcp.project}/secrets", body, api="secretmanager.v1", secretId="part")
    found = secrets.Secrets(project=gcp.project, api=api)
    assert found.read("part") is None
    assert (found.add("part", "one").version, found.add("part", "two").version) == ("1", "2")
    assert secrets.reference(found, "part#1") == ("one", "")
    assert secrets.reference(found, "part#latest") == ("two", "")
    assert secrets.reference(found, "none#latest")[0] == ""


def test_a_backups_secrets_are_put_in_force_and_taken_back(gcp: GcpRig, api: Api, tmp_path: Path) -> None:
    """By new versions, once, however often a restore is repeated; if one cannot be added, all are as they were."""
    names, found = ("flask-secret-key", "webhook-key"), secrets.Secrets(project=gcp.project, api=api)
    naming = Naming(stack_project="shop", stack="vault", project=gcp.project, number=gcp.number, region=gcp.region)
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    for name in names:
        path = f"v1/projects/{gcp.project}/secrets"
        gcp.call("POST", path, body, api="secretmanager.v1", secretId=naming.secret(name))
        found.add(naming.secret(name), f"own {name}")
    vault = SecretManagerVault(secrets=found, naming=naming, names=names, store=FileStore(tmp_path))
    own = dict(vault.present())
    for _ in range(2):
        # A restore that is repeated keeps the backend's own, not those that its first try put in force.
        vault.replace({"webhook-key": "another"}, label="one")
        assert vault.present() == {**own, "webhook-key": "another"}
    assert vault.versions == {naming.secret("flask-secret-key"): "1", naming.secret("webhook-key"): "2"}
    assert "another" not in "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    for _ in range(2):
        vault.put_back("one")
        assert vault.present() == own
    full = replace(vault, secrets=_Full(project=gcp.project, api=api))
    with pytest.raises(PlatformFailed):
        full.replace(dict.fromkeys(names, "another"), label="two")
    assert vault.present() == own


class _Full(secrets.Secrets):
    """Secret Manager, which takes a first value and no second one of the same text."""

    def add(self, name: str, text: str) -> secrets.Value:
        """Add it, unless that text was added already."""
        texts = self.__dict__.setdefault("texts", set())
        if text in texts:
            raise PlatformFailed("it is full", code="full")
        texts.add(text)
        return super().add(name, text)


def ensured(gcp: GcpRig, props: dict[str, Any], what: str = "ensure(props)") -> dict[str, Any]:
    """Return what a process of the administrator's makes of the secrets."""
    program = f"import json; from mlflow_backend.gcp.secrets import *; props = {props!r}; print(json.dumps({what}))"
    command = gcp.command(sys.executable, "-c", program)
    done = subprocess.run(command, env=gcp.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_values_are_drawn_once_and_rotated(gcp: GcpRig, api: Api) -> None:
    """A repeated update draws nothing; waiting keys come into force with the old ones among the former; keys stay."""
    names = ["webhook-key", "kek-passphrase", "kek-version", "former-keys", "api-keys", "verification-api-key"]
    parts = {name: f"own-{name}" for name in (*names, "waiting-keys")}
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    for name in parts.values():
        gcp.call("POST", f"v1/projects/{gcp.project}/secrets", body, api="secretmanager.v1", secretId=name)
    given = {"names": names, "secrets": parts, "database": "", "cache": "", "cacheUrl": ""}
    props = {"project": gcp.project, "region": gcp.region, **given}
    first = ensured(gcp, props)
    assert set(first["versions"].values()) == {"1"}
    assert "api-keys" not in first["versions"]
    assert ensured(gcp, props) == first
    assert ensured(gcp, props, f"[['changed', changed({first!r}, props)]]") == {"changed": False}
    found = secrets.Secrets(project=gcp.project, api=api)
    old = {name: secrets.reference(found, f"{parts[name]}#latest")[0] for name in names}
    (entry,) = json.loads(old["api-keys"])["keys"]
    others = {"keys": [{**entry, "name": "somebody"}, entry]}
    found.add(parts["api-keys"], json.dumps(others))
    secrets.rotate(found, parts)
    secrets.rotate(found, parts)
    assert ensured(gcp, props, f"[['changed', changed({first!r}, props)]]") == {"changed": True}
    second = ensured(gcp, props)
    assert second["fingerprint"] != first["fingerprint"]
    assert second["versions"]["verification-api-key"] == "1"
    (former,) = json.loads(secrets.reference(found, f"{parts['former-keys']}#latest")[0])
    assert former == {name: old[name] for name in ("webhook-key", "kek-passphrase", "kek-version")}
    assert json.loads(secrets.reference(found, f"{parts['api-keys']}#latest")[0]) == others
    assert ensured(gcp, props) == second


def test_an_unusable_value_is_not_taken_over(gcp: GcpRig, api: Api) -> None:
    """The servers have the versions that they were given; what nobody could start with is named, without its value."""
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    for name in ("bad-admin-password", "bad-waiting"):
        gcp.call("POST", f"v1/projects/{gcp.project}/secrets", body, api="secretmanager.v1", secretId=name)
    secrets.Secrets(project=gcp.project, api=api).add("bad-admin-password", "hunter2")
    parts = {"admin-password": "bad-admin-password", "waiting-keys": "bad-waiting"}
    given = {"names": ["admin-password"], "secrets": parts, "database": "", "cache": "", "cacheUrl": ""}
    program = f"from mlflow_backend.gcp.secrets import *; ensure({ {'project': gcp.project, 'region': 'r', **given}!r})"
    command = gcp.command(sys.executable, "-c", program)
    done = subprocess.run(command, env=gcp.environment, capture_output=True, text=True, timeout=60, check=False)
    assert "admin-password has less than" in done.stderr
    assert "hunter2" not in done.stderr


def test_the_store_keeps_what_two_write(gcp: GcpRig, api: Api) -> None:
    """Of two who create a key one does; a lock is one holder's; what is not there is none, also without a bucket."""
    assert GcsStore(api, GcsRoot(bucket="none")).keys("a") == ()
    gcp.call("POST", "storage/v1/b", {"name": "bucket"}, api="storage.v1", project=gcp.project)
    store = GcsStore(api, GcsRoot(bucket="bucket", root="ml flow"))
    assert (store.create("a/one.json", b"1"), store.create("a/one.json", b"2")) == (True, False)
    store.replace("a/b/two.json", b"2")
    assert store.keys("a") == ("a/one.json",)
    assert store.read(["a/one.json", "a/none"]) == {"a/one.json": b"1"}
    found = store.read_tagged("a/one.json")
    assert found is not None
    assert (store.replace_if("a/one.json", b"3", tag=found[1]), store.replace_if("a/one.json", b"4", tag=found[1])) == (
        True,
        False,
    )
    assert (b"".join(store.chunks("a/one.json")), store.size("a/one.json"), store.size("a/none")) == (b"3", 1, None)
    store.move("a/one.json", "c/one.json")
    store.delete("a/one.json")
    assert (store.keys("a"), store.keys("c")) == ((), ("c/one.json",))
    with store.locked("migration", by="one"):
        assert store.is_locked("migration")
        with raised("backend-locked", "one"):
            store.locked("migration", by="two").__enter__()
    assert not store.is_locked("migration")
    assert store.address("a") == "gs://bucket/ml flow/a"


class _Releases:
    """What a candidate asks of a deployed backend without a migration under way."""

    def __init__(self, platform: CloudRunPlatform) -> None:
        self.platform, self.migration = platform, self

    def load(self) -> None:
        """Return no migration."""
