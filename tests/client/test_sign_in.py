"""Sign-in without MLflow: where tokens come from, when they are renewed, in which header they go, and who gets none."""

from __future__ import annotations

import base64
import json
import math
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth import jwt
from mlflow_backend_sign_in import keys, plugin, tokens
from mlflow_backend_sign_in.plugin import Provider
from mlflow_backend_sign_in.settings import CREDENTIALS, Settings
from mlflow_backend_sign_in.tokens import SignInFailed, Token, Tokens, renewal
from moto.server import ThreadedMotoServer

from tests.client.conftest import CLIENT
from tests.client.sign_in_stand_ins import ACCOUNT, SECRET, Google, Guarded
from tests.components.verify.fake_mlflow import STORE, FakeMLflow, Reply, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

API = "/api/2.0/mlflow/experiments/search"
AUDIENCE = "https://mlflow.example"
IAP = f"{AUDIENCE}/*"
NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def _no_logins_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "_sign_ins", {})
    for name in os.environ:
        if name.startswith(("MLFLOW_", "GOOGLE_", "GCE_", "CLOUDSDK_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """Google, as the environment names it."""
    with Google() as stand_in:
        for name, value in stand_in.environment.items():
            monkeypatch.setenv(name, value)
        yield stand_in


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with an API key, to which the environment refers."""
    path = tmp_path / "key"
    path.write_text("first-s3cret\n")
    monkeypatch.setenv("MLFLOW_BACKEND_KEY", f"file:{path}")
    return path


def get(url: str, **more: Any) -> requests.Response:
    """Ask as MLflow's client does: the provider is asked at each request."""
    return requests.get(url + API, auth=Provider().get_auth(), timeout=30, **more)


# Renewal


def test_renewal_is_early_enough_for_the_retries_of_a_request() -> None:
    """Five minutes before the end, or at three quarters of a short life; never at once, whatever the clock says."""
    assert [renewal(NOW + left, NOW) - NOW for left in (3600, 1200, 60, 0, -7200)] == [3300, 900, 45, 10, 10]


def test_a_token_is_fetched_once_for_all_threads_and_again_when_it_is_due() -> None:
    """Eight threads that ask at once cost one call to the source."""
    fetched: list[Token] = []
    together = threading.Barrier(8)

    def fetch() -> Token:
        fetched.append(Token(f"t{len(fetched)}", 0 if not fetched else math.inf))
        return fetched[-1]

    source, got = Tokens(fetch), []
    assert source.current() == "t0"

    def ask() -> None:
        together.wait(30)
        got.append(source.current())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["t1"] * 8
    assert len(fetched) == 2
    assert source.current(refused="t0") == "t1"
    assert source.current(refused="t1") == "t2"


def test_a_source_that_fails_is_survived_until_its_last_token_is_refused() -> None:
    """A metadata server that is away for a minute before a token expires costs nothing."""
    answers: list[Token | SignInFailed] = [SignInFailed("away"), SignInFailed("away"), Token("t0", 0)]

    def fetch() -> Token:
        answer = answers.pop()
        if isinstance(answer, SignInFailed):
            raise answer
        return answer

    source = Tokens(fetch)
    assert [source.current(), source.current(), source.current()] == ["t0"] * 3
    assert len(answers) == 1
    with pytest.raises(SignInFailed, match="away"):
        source.current(refused="t0")


def test_a_source_that_fails_is_asked_once_for_all_who_wait() -> None:
    """Eight threads do not wait for eight time-outs, one after the other."""
    calls, entered, go_on = [], threading.Event(), threading.Event()

    def fetch() -> Token:
        calls.append(1)
        entered.set()
        go_on.wait(30)
        raise SignInFailed("away")

    source, failures = Tokens(fetch), []

    def ask() -> None:
        try:
            source.current()
        except SignInFailed as failure:
            failures.append(str(failure))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    threads[0].start()
    assert entered.wait(30)
    lock = source._lock
    for thread in threads[1:]:
        thread.start()
    assert lock.locked()
    # They wait when each is in `acquire`: seen by their stacks, not by the clock.
    deadline = time.monotonic() + 30
    while not all(_in(thread, "current") for thread in threads[1:]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    go_on.set()
    for thread in threads:
        thread.join()
    assert (failures, len(calls)) == (["away"] * 8, 1)


def _in(thread: threading.Thread, function: str) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return bool(frame) and frame.f_code.co_name == function


def test_a_source_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training stops with the cause; it does not hang."""
    monkeypatch.setattr(tokens, "DEADLINE_S", 0.1)
    never = threading.Event()

    def fetch() -> Token:
        never.wait(60)
        return Token("late")

    with pytest.raises(SignInFailed, match="did not answer"):
        Tokens(fetch).current()
    never.set()


FORKED = """
import os, signal, sys, threading
from mlflow_backend_sign_in.tokens import Token, Tokens
parent, entered, go_on = os.getpid(), threading.Event(), threading.Event()
def fetch():
    if os.getpid() == parent:
        entered.set()
        go_on.wait(60)
    return Token("of-the-child" if os.getpid() != parent else "of-the-parent")
source = Tokens(fetch)
thread = threading.Thread(target=source.current)
thread.start()
assert entered.wait(60)
child = os.fork()
if not child:
    signal.alarm(30)
    os._exit(source.current() != "of-the-child")
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
go_on.set()
thread.join()
sys.exit(code)
"""
AT_EXIT = """
import atexit, math
from mlflow_backend_sign_in.tokens import Token, Tokens
source = Tokens(lambda: Token("t", math.inf))
atexit.register(lambda: print(source.current()))
"""


@pytest.mark.parametrize(("program", "printed"), [(FORKED, ""), (AT_EXIT, "t\n")], ids=["forked", "at exit"])
def test_a_token_is_to_be_had_in_every_state_of_a_process(program: str, printed: str) -> None:
    """In a child that was forked while another thread renewed, and at the interpreter's end, as MLflow ends a run."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(CLIENT)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


# Requests


def test_a_key_that_was_replaced_is_read_again(key_file: Path) -> None:
    """One refusal, one second try; the next request has the new key at once. Nothing is read before it is refused."""
    with Guarded(key="first-s3cret") as guarded:
        assert get(guarded.url).status_code == 200
        key_file.write_text("second-s3cret")
        assert get(guarded.url).status_code == 200
        guarded.key = "second-s3cret"
        assert [get(guarded.url).status_code for _ in range(2)] == [200, 200]
        assert [asked.headers["authorization"] for asked in guarded.refused] == ["Bearer first-s3cret"]


def test_a_key_that_stays_refused_is_not_sent_again(key_file: Path) -> None:
    """The caller gets the server's refusal, after one request."""
    with Guarded(key="another") as guarded:
        assert get(guarded.url).status_code == 401
        assert len(guarded.refused) == 1


@pytest.mark.parametrize("body", ["bytes", "file", "stream"])
def test_a_body_is_sent_again_whole_or_not_at_all(key_file: Path, tmp_path: Path, body: str) -> None:
    """A file that was read to its end is rewound; what cannot be rewound is refused, not cut."""
    content = os.urandom(200_000)
    (tmp_path / "model").write_bytes(content)
    with Guarded(key="first-s3cret") as guarded, (tmp_path / "model").open("rb") as file:
        get(guarded.url)
        key_file.write_text("second-s3cret")
        guarded.key = "second-s3cret"
        # One with a length: the stand-in reads no chunks.
        stream = iter([content])
        given = {"bytes": content, "file": file, "stream": stream}[body]
        headers = {"Content-Length": str(len(content))} if body == "stream" else {}
        request = requests.Request("PUT", f"{guarded.url}{STORE}/m", data=given, headers=headers)
        request.auth = Provider().get_auth()
        prepared = request.prepare()
        if body == "stream":
            del prepared.headers["Transfer-Encoding"]
        answer = requests.Session().send(prepared, timeout=30)
        stored = dict(guarded.server.artifacts)
    assert (answer.status_code, stored) == ((401, {}) if body == "stream" else (200, {"m": content}))


@pytest.mark.parametrize("header", ["", "X-Serverless-Authorization", "Proxy-Authorization"])
def test_no_other_host_gets_a_token(
    google: Google, key_file: Path, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    """A redirect to a page for people to sign in at takes no header along, and gets no new token for its refusal."""
    monkeypatch.setenv("MLFLOW_BACKEND_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("MLFLOW_BACKEND_IDENTITY_HEADER", header)
    with FakeMLflow() as login, FakeMLflow() as server:
        login.fault = lambda _asked: error(401, "")
        server.fault = lambda _asked: Reply(status=302, headers={"Location": f"{login.url}/login"})
        assert get(server.url).status_code == 401
    assert "Bearer" in str(server.asked[0].headers)
    assert len(login.asked) == 1
    assert "Bearer" not in str(login.asked[0].headers)


def test_a_redirect_within_the_server_keeps_the_login(key_file: Path) -> None:
    """A path that moved is no other host."""
    with Guarded(key="first-s3cret") as guarded:
        refuse = guarded.server.fault
        moved = Reply(status=302, headers={"Location": API})
        guarded.server.fault = lambda asked: moved if asked.path == "/moved" else refuse(asked)
        assert requests.get(f"{guarded.url}/moved", auth=Provider().get_auth(), timeout=30).status_code == 200


# Headers and settings


def settings(**given: str) -> Settings:
    """Settings of an environment that sets what is given, by the last words of the variables' names."""
    return Settings.of({name if name == CREDENTIALS else f"MLFLOW_BACKEND_{name}": given[name] for name in given})


@pytest.mark.parametrize(
    ("header", "key", "other", "expected"),
    [
        ("", "", False, {"Authorization": "Bearer i"}),
        ("", "k", False, {"Authorization": "Bearer k", "X-Serverless-Authorization": "Bearer i"}),
        ("", "", True, {"X-Serverless-Authorization": "Bearer i"}),
        ("Proxy-Authorization", "k", False, {"Authorization": "Bearer k", "Proxy-Authorization": "Bearer i"}),
        ("Proxy-Authorization", "", False, {"Proxy-Authorization": "Bearer i"}),
    ],
)
def test_each_login_has_a_header_of_its_own(header: str, key: str, other: Any, expected: dict[str, str]) -> None:
    """MLflow's login is in Authorization; Google takes its token in a header beside it."""
    asked = settings(AUDIENCE="a", KEY="file:k", IDENTITY_HEADER=header)
    assert asked.headers(key, "i", other_login=other) == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "MLFLOW_BACKEND_KEY nor MLFLOW_BACKEND_AUDIENCE"),
        ({"KEY": "s3cret"}, "MLFLOW_BACKEND_KEY"),
        ({"KEY": "file:k", "SERVICE_ACCOUNT": ACCOUNT}, "MLFLOW_BACKEND_AUDIENCE"),
        ({"AUDIENCE": "a", "IDENTITY_HEADER": "X-Else"}, "MLFLOW_BACKEND_IDENTITY_HEADER"),
    ],
    ids=["nothing", "the key itself", "no audience", "another header"],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, str], named: str) -> None:
    """One sentence that names the variable, and does not show a key that stands where its source belongs."""
    with pytest.raises(SignInFailed, match=named) as refused:
        settings(**given)
    assert "s3cret" not in str(refused.value)


def test_two_logins_for_one_header_are_refused() -> None:
    """MLflow's own login is not overwritten by a key, and not by an identity token."""
    with pytest.raises(SignInFailed, match="MLFLOW_TRACKING_TOKEN"):
        settings(KEY="file:k").headers("k", "", other_login=True)
    with pytest.raises(SignInFailed, match="MLFLOW_BACKEND_IDENTITY_HEADER"):
        settings(AUDIENCE="a", IDENTITY_HEADER="Authorization").headers("", "i", other_login=True)


# Keys


def test_keys_come_from_commands_and_secret_managers(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command's output, a secret of Google's, a secret of AWS, and one key of an AWS secret that is JSON."""
    assert keys.read(f"command:{sys.executable} -c \"print('of-a-command')\"", "").value == "of-a-command"
    assert keys.read(SECRET, "").value == google.api_key
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a")
        import boto3  # noqa: PLC0415 - the rest of this file does without it

        client = boto3.client("secretsmanager", region_name="eu-west-1")
        plain = client.create_secret(Name="plain", SecretString="of-aws")["ARN"]
        as_json = client.create_secret(Name="json", SecretString='{"trainer": "of-aws-too"}')["ARN"]
        assert keys.read(plain, "").value == "of-aws"
        assert keys.read(f"{as_json}#trainer", "").value == "of-aws-too"
        with pytest.raises(SignInFailed, match="ResourceNotFoundException"):
            keys.read(plain.replace("plain", "other"), "")
    finally:
        moto.stop()


BAD_KEYS: dict[str, Callable[[Path], str]] = {
    "no file": lambda folder: f"file:{folder / 'missing'}",
    "an empty file": lambda folder: f"file:{_written(folder, '')}",
    "two lines": lambda folder: f"file:{_written(folder, 's3cret' + chr(10) + 's3cret')}",
    "no ASCII": lambda folder: f"file:{_written(folder, 's3cret-ü')}",
    "a command that fails": lambda _: f"command:{sys.executable} -c \"print('s3cret'); raise SystemExit(3)\"",
    "no command": lambda _: "command:",
    "a command that is not there": lambda _: "command:/nowhere/s3cret-command --with s3cret",
}


def _written(folder: Path, text: str) -> Path:
    (folder / "key").write_text(text)
    return folder / "key"


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(tmp_path: Path, bad: str) -> None:
    """Requests and http.client show a header that they cannot send: such a key never comes so far."""
    with pytest.raises(SignInFailed, match="MLFLOW_BACKEND_KEY") as refused:
        keys.read(BAD_KEYS[bad](tmp_path), "")
    chain, shown = refused.value, ""
    while chain:
        shown, chain = shown + repr(chain), chain.__cause__  # type: ignore[assignment]
    assert "s3cret" not in shown
    assert "s3cret" not in repr(Token("s3cret"))


# Google


def test_an_identity_token_is_the_machines(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of the metadata server for many requests; what fails for a moment is asked again."""
    monkeypatch.setenv("MLFLOW_BACKEND_AUDIENCE", AUDIENCE)
    google.failing = [error(503, ""), error(500, "")]
    with Guarded(google=google) as guarded:
        assert [get(guarded.url).status_code for _ in range(5)] == [200] * 5
        google.revoke()
        assert get(guarded.url).status_code == 200
    assert google.audiences == [AUDIENCE] * 2


def test_a_users_login_is_left_where_it_is(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow writes user and password into Authorization before it asks for the sign-in."""
    monkeypatch.setenv("MLFLOW_BACKEND_AUDIENCE", AUDIENCE)
    with Guarded(google=google, header="x-serverless-authorization") as guarded:
        assert get(guarded.url, headers={"Authorization": "Basic dTpw"}).status_code == 200
        google.revoke()
        assert get(guarded.url, headers={"Authorization": "Basic dTpw"}).status_code == 200
    assert {asked.headers["authorization"] for asked in guarded.server.asked} == {"Basic dTpw"}


def test_an_account_is_impersonated(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's access token asks IAM for an identity token of another account."""
    monkeypatch.setenv("MLFLOW_BACKEND_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("MLFLOW_BACKEND_SERVICE_ACCOUNT", ACCOUNT)
    with Guarded(google=google) as guarded:
        assert get(guarded.url).status_code == 200
    assert google.server.asked[-1].json == {"audience": AUDIENCE, "includeEmail": True}


@pytest.mark.parametrize("account", ["", ACCOUNT], ids=["the machine's", "impersonated"])
def test_iap_is_told_by_the_account_itself(google: Google, monkeypatch: pytest.MonkeyPatch, account: str) -> None:
    """Google signs in the account's name, for the proxy's URLs; a token is used until shortly before its end."""
    monkeypatch.setenv("MLFLOW_BACKEND_AUDIENCE", IAP)
    monkeypatch.setenv("MLFLOW_BACKEND_SERVICE_ACCOUNT", account)
    with Guarded(google=google) as guarded:
        assert [get(guarded.url).status_code for _ in range(3)] == [200] * 3
    assert google.audiences == [IAP]
    assert google.server.asked[-1].path == f"/v1/projects/-/serviceAccounts/{ACCOUNT}:signJwt"


def test_iap_is_told_by_the_key_of_a_file(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key signs, and nobody is asked."""
    private = _key_file(google, tmp_path, monkeypatch)
    monkeypatch.setenv("MLFLOW_BACKEND_AUDIENCE", IAP)
    with FakeMLflow() as server:
        get(server.url)
        token = server.asked[-1].headers["authorization"].removeprefix("Bearer ")
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(token, certs=pem, audience=IAP)
    assert claims["iss"] == claims["sub"] == "k@p.iam.gserviceaccount.com"
    assert claims["exp"] - claims["iat"] <= 3600
    assert google.server.asked == []


def _key_file(google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> rsa.RSAPrivateKey:
    """Write the key of a service account to where Google's clients look, and return it."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    document = {"type": "service_account", "client_email": "k@p.iam.gserviceaccount.com", "private_key": pem.decode()}
    document |= {"token_uri": f"{google.server.url}/token", "project_id": "p"}
    (folder / "credentials.json").write_text(json.dumps(document))
    monkeypatch.setenv(CREDENTIALS, str(folder / "credentials.json"))
    return private


@pytest.mark.parametrize("account", ["", ACCOUNT], ids=["its own", "impersonated"])
def test_a_key_file_signs_for_its_account(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    """Away from Google Cloud the key of a service account asks, for itself or for an account to impersonate."""
    private = _key_file(google, tmp_path, monkeypatch)
    monkeypatch.setenv("MLFLOW_BACKEND_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("MLFLOW_BACKEND_SERVICE_ACCOUNT", account)
    with Guarded(google=google) as guarded:
        assert get(guarded.url).status_code == 200
    signed, _, signature = google.assertions[-1].rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    private.public_key().verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert google.audiences == [AUDIENCE]


BAD_GOOGLE: dict[str, tuple[dict[str, str], Reply]] = {
    "no Google Cloud": ({"GCE_METADATA_HOST": "127.0.0.1:9"}, Reply()),
    "no account": ({}, error(404, "")),
    "no token": ({}, Reply(body=b"<html>s3cret")),
    "may not": ({"MLFLOW_BACKEND_SERVICE_ACCOUNT": "other@p.iam.gserviceaccount.com"}, Reply(body=b"{}")),
    "no credentials": ({CREDENTIALS: "/nowhere"}, Reply()),
}


@pytest.mark.parametrize("bad", BAD_GOOGLE)
def test_what_google_refuses_is_one_sentence(google: Google, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    """It names what to correct, and shows nothing of an answer."""
    environment, reply = BAD_GOOGLE[bad]
    google.server.fault = lambda _asked: reply
    for name, value in {"MLFLOW_BACKEND_AUDIENCE": AUDIENCE, **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SignInFailed, match=r"[A-Z_]{8,}|roles/|Google") as refused:
        get(google.server.url)
    assert "s3cret" not in str(refused.value)
