"""A gate before training: the pipeline goes on only if its MLflow tracking server works, else it stops with the cause.

One file of Python 3.9 or newer without a dependency: import it, run it (`python -m mlflow_backend_gate`), or copy it
into a container. It asks for the server's health, gets or creates the experiment, starts a run and reads it back: up
to 5 times of 30 seconds with 10, 20, 30 and 30 seconds between, because a server that scaled to zero may need minutes.
What it found lies in `mlflow_status.json` and `mlflow_info.json` in the run's output folder, also if it failed.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import re
import secrets
import signal
import ssl
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STATUS, INFO = "mlflow_status.json", "mlflow_info.json"
PAUSES_S = (10.0, 20.0, 30.0, 30.0)
"""Seconds between the tries: there is one try more."""
TRY_S = 30.0
"""Seconds that one try may take, whatever the server does."""
OUTPUT_S = 10.0
"""Seconds that one file may take to be written into the output folder."""
CLOSED = 1
"""Exit code of a gate that stays closed; 2 is a wrong command line, as everywhere."""
_API = "/api/2.0/mlflow"
_TAG = "mlflow_backend.gate"
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_LARGEST_ANSWER = 1024 * 1024
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_METADATA = "http://{host}/computeMetadata/v1/instance/service-accounts/default/{what}"


class GateClosed(Exception):
    """The pipeline must not train: its runs would not be tracked. The text names cause and next step."""


class _Again(GateClosed):
    """The same, for a cause that may pass by itself."""


@dataclass(frozen=True)
class Run:
    """A run that was started in an experiment, and that the training goes on with."""

    tracking_uri: str
    experiment_name: str
    experiment_id: str
    run_id: str
    _server: _Server = field(repr=False, compare=False)

    def environment(self) -> dict[str, str]:
        """Return the variables by which MLflow's client goes on with the run."""
        return {
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MLFLOW_EXPERIMENT_ID": self.experiment_id,
            "MLFLOW_RUN_ID": self.run_id,
        }

    def end(self) -> None:
        """End the run, for a caller that only wanted to know. Raises GateClosed."""
        update = {"run_id": self.run_id, "status": "FINISHED", "end_time": _now_ms()}
        self._server.within(time.monotonic() + TRY_S).post("/runs/update", update)


def gate(  # noqa: PLR0913 - what may differ from one pipeline to the next, each by its name
    tracking_uri: str = "",
    *,
    experiment: str = "",
    output: str = "",
    revision: str = "",
    audience: str = "",
    headers: Mapping[str, str] | None = None,
    ca_file: str = "",
    insecure: bool = False,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Return a run that was started on a working MLflow server. Raises GateClosed.

    What is empty is read from the environment, as MLflow's client does: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME
    (else "Default"), MLFLOW_TRACKING_USERNAME and _PASSWORD, MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_SERVER_CERT_PATH.
    MLFLOW_TRACKING_AUTH=mlflow-backend signs in as the package beside this file does for MLflow's client.
    `headers` are a login that is already known. `audience` asks Google's metadata server for an identity token, which
    goes beside another login. `output` is a folder, or an address that begins with gs:// or s3://, for the two files;
    `revision` is noted there. `say` gets a line for each try that failed.
    """
    uri, login = _split(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""))
    experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", "") or "Default"
    files = _Files(output, uri=uri, experiment=experiment, revision=revision)
    files.write("initializing")
    try:
        _refuse_local(uri)
        known = headers if headers is not None else _signed_in(login or _login_of_environment())
        server = _Server(uri, headers=known, audience=audience, ca_file=ca_file, insecure=insecure)
        run = _keep_trying(lambda attempt: _started(attempt, experiment), server, say or _say)
    except BaseException as error:
        # The first cause is the one to know, so a folder that is gone by now does not hide it.
        with contextlib.suppress(GateClosed):
            files.write("failed", error=str(error) or type(error).__name__)
        raise
    files.write("initialized", run=run)
    return run


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0 if training may begin, 1 if not. What a shell evaluates is printed."""
    line = argparse.ArgumentParser(prog="mlflow_backend_gate", description="Stop a pipeline that could not track.")
    line.add_argument("tracking_uri", nargs="?", default="", help="default: MLFLOW_TRACKING_URI")
    line.add_argument("--experiment", default="", metavar="NAME", help="default: MLFLOW_EXPERIMENT_NAME, or Default")
    line.add_argument("--output", default="", metavar="FOLDER", help=f"where {STATUS} and {INFO} are written")
    line.add_argument("--revision", default="", metavar="R", help="noted in the status, such as a commit")
    line.add_argument("--audience", default="", help="send Google's identity token for this audience")
    line.add_argument("--ca-file", default="", metavar="FILE", help="trust the certificate authorities in this file")
    line.add_argument("--end", action="store_true", help="end the run, if the training starts one of its own")
    options = vars(line.parse_args(arguments))
    end = options.pop("end")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        run = gate(**options)
        if end:
            run.end()
    except GateClosed as closed:
        _say(f"CLOSED, do not train: {closed}")
        return CLOSED
    _say(f"open: run {run.run_id} of experiment {run.experiment_name} at {run.tracking_uri}")
    if not end:
        for name, value in run.environment().items():
            print(f"export {name}={value}")
    return 0


def _say(text: str) -> None:
    print(f"gate: {text}", file=sys.stderr, flush=True)


def _keep_trying(attempt: Callable[[_Server], Run], server: _Server, say: Callable[[str], None]) -> Run:
    for number, pause in enumerate((*PAUSES_S, None), start=1):
        try:
            return _in_time(attempt, server)
        except _Again as failure:
            if pause is None:
                raise GateClosed(f"{failure} That was so in each of {number} tries.") from failure
            say(f"try {number} of {len(PAUSES_S) + 1}: {failure} Again in {pause:.0f} s.")
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _in_time(attempt: Callable[[_Server], Run], server: _Server) -> Run:
    """Run one try in a thread of its own, because an answer that comes in drops outlasts every time-out of a socket."""
    ended: list[Run | BaseException] = []
    limited = server.within(time.monotonic() + TRY_S)

    def work() -> None:
        try:
            ended.append(attempt(limited))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(TRY_S)
    if not ended:
        raise _Again(f"{server.uri} did not answer whole within {TRY_S:.0f} s.")
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def _started(server: _Server, experiment: str) -> Run:
    server.health()
    experiment_id = _experiment(server, experiment)
    # A try that timed out may have started a run after all: it is found by its mark, not started twice.
    mark = f"tags.`{_TAG}` = '{server.mark}'"
    found = server.post("/runs/search", {"experiment_ids": [experiment_id], "filter": mark, "max_results": 1})
    runs = found.get("runs") or []
    if runs:
        run_id = _run_id(runs[0])
    else:
        tags = [{"key": _TAG, "value": server.mark}]
        new = {"experiment_id": experiment_id, "start_time": _now_ms(), "tags": tags}
        run_id = _run_id(server.post("/runs/create", new).get("run"))
    again = _run_id(server.get("/runs/get", run_id=run_id).get("run"))
    if again != run_id:
        raise GateClosed(f"MLflow started run {run_id} and gave {again} back. Look at its database.")
    return Run(server.uri, experiment, experiment_id, run_id, server)


def _run_id(run: Any) -> str:
    found = (run.get("info") or {}).get("run_id") if isinstance(run, dict) else None
    if not isinstance(found, str) or not _RUN_ID.fullmatch(found):
        raise GateClosed(f"MLflow gave {found!r} as the id of a run. Look at what answers at the tracking URI.")
    return found


def _experiment(server: _Server, name: str) -> str:
    found = server.get("/experiments/get-by-name", missing=True, experiment_name=name).get("experiment")
    if found is None:
        created = server.post("/experiments/create", {"name": name}, exists=True).get("experiment_id")
        if created:
            return str(created)
        # Somebody else created it in between.
        found = server.get("/experiments/get-by-name", experiment_name=name).get("experiment") or {}
    if found.get("lifecycle_stage") == "deleted":
        raise GateClosed(f"Experiment {name} is deleted. Restore it (mlflow experiments restore), or name another.")
    return str(found.get("experiment_id", ""))


class _Refusing(HTTPRedirectHandler):
    """Follows no redirect: it leads to a page for people to sign in at, and a login must not follow it there."""

    def redirect_request(self, *_: Any) -> None:
        """Let the redirect be the answer."""


class _Server:
    """An MLflow server at a tracking URI, asked until a deadline."""

    def __init__(
        self, uri: str, *, headers: Mapping[str, str], audience: str, ca_file: str = "", insecure: bool = False
    ) -> None:
        self.uri, self.mark, self._audience, self._deadline = uri, secrets.token_hex(16), audience, 0.0
        self._headers = {"User-Agent": "mlflow-backend-gate/0.1.0", "Accept": "application/json", **headers}
        ca_file = ca_file or os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH", "")
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except OSError as error:
            raise GateClosed(f"The certificate authorities in {ca_file} cannot be read: {error}.") from error
        if insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._opener = build_opener(_Refusing, HTTPSHandler(context=context))

    def within(self, deadline: float) -> _Server:
        """Return the same server with a deadline, by the clock of time.monotonic."""
        limited = object.__new__(_Server)
        limited.__dict__.update(self.__dict__, _deadline=deadline)
        return limited

    def health(self) -> None:
        """Ask the health route. One that is not there, as below some prefixes, says nothing."""
        status, body = self._ask("GET", "/health", None)
        if status not in {200, 404}:
            raise self._refused("/health", status, body)
        if status == 200 and body.strip() != b"OK":  # noqa: PLR2004 - the HTTP status
            raise GateClosed(f"{self.uri}/health is not MLflow's: something else answers. Correct the tracking URI.")

    def get(self, route: str, *, missing: bool = False, **query: str) -> dict[str, Any]:
        """Ask a route of MLflow's API; with `missing`, what does not exist is an empty document."""
        status, body = self._ask("GET", f"{_API}{route}?{urlencode(query)}", None)
        if missing and _code(body) == "RESOURCE_DOES_NOT_EXIST":
            return {}
        return self._document(route, status, body)

    def post(self, route: str, document: dict[str, Any], *, exists: bool = False) -> dict[str, Any]:
        """Send a document to a route; with `exists`, what exists already is an empty document."""
        status, body = self._ask("POST", f"{_API}{route}", json.dumps(document).encode())
        if exists and _code(body) == "RESOURCE_ALREADY_EXISTS":
            return {}
        return self._document(route, status, body)

    def _document(self, route: str, status: int, body: bytes) -> dict[str, Any]:
        if status != 200:  # noqa: PLR2004 - the HTTP status
            raise self._refused(route, status, body)
        document = _json(body)
        if document is None:
            raise GateClosed(f"{self.uri} answered {route} with no JSON: it is not MLflow. Correct the tracking URI.")
        return document

    def _refused(self, route: str, status: int, body: bytes) -> GateClosed:
        said = f"{self.uri} answered {route} with {status}"
        message = str((_json(body) or {}).get("message", ""))[:300]
        said += f": {message.rstrip('.')}." if message else "."
        if status in _TRANSIENT:
            return _Again(said)
        if status in range(300, 400):
            return GateClosed(f"{said} It wants people to sign in: give a login, or --audience on Google Cloud.")
        fixes = {
            401: "Set the login: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
            403: "The login may not do this, or the server does not know the name in the tracking URI.",
            404: "Correct the tracking URI, its path included.",
        }
        return GateClosed(" ".join(filter(None, (said, fixes.get(status, "")))))

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Again(f"{self.uri} did not answer in time.")
        headers = {**self._headers, **({"Content-Type": "application/json"} if body is not None else {})}
        if self._audience:
            # Google takes it in a header of its own if MLflow wants the usual one.
            name = "X-Serverless-Authorization" if "Authorization" in headers else "Authorization"
            headers[name] = f"Bearer {_google('identity', left, audience=self._audience, format='full')}"
        request = Request(self.uri + path, data=body, headers=headers, method=method)  # noqa: S310 - http or https
        try:
            with self._opener.open(request, timeout=left) as answer:
                return answer.status, answer.read(_LARGEST_ANSWER)
        except HTTPError as error:
            with error:
                return error.code, error.read(_LARGEST_ANSWER)
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(error) from None
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise self._untrusted(error.reason) from None
            raise _Again(f"{self.uri} cannot be reached: {error.reason}.") from None
        except (OSError, ValueError) as error:
            raise _Again(f"{self.uri} cannot be reached: {error or type(error).__name__}.") from None

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> GateClosed:
        return GateClosed(f"The certificate of {self.uri} is not trusted: {error.verify_message}. Name --ca-file.")


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _code(body: bytes) -> str:
    return str((_json(body) or {}).get("error_code", ""))


def _split(uri: str) -> tuple[str, dict[str, str]]:
    """Return a tracking URI without the login that it may hold, and that login as headers."""
    parts = urlsplit(uri.strip().rstrip("/"))
    if not parts.username:
        return parts.geturl(), {}
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)), _basic(unquote(parts.username), unquote(parts.password or ""))


def _refuse_local(uri: str) -> None:
    if not uri:
        raise GateClosed("MLFLOW_TRACKING_URI is not set, so MLflow would log to this machine's disk. Set it.")
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise GateClosed(
            f"The tracking URI has the scheme {parts.scheme or 'of a file'}, so MLflow would log without the server. "
            "Set MLFLOW_TRACKING_URI to its http or https address."
        )


def _login_of_environment() -> dict[str, str]:
    name, password = (os.environ.get(f"MLFLOW_TRACKING_{what}", "") for what in ("USERNAME", "PASSWORD"))
    if name and password:
        return _basic(name, password)
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _signed_in(known: dict[str, str]) -> dict[str, str]:
    """Return the headers of a login and of the sign-in, if MLflow's client is told to use that."""
    if os.environ.get("MLFLOW_TRACKING_AUTH") != "mlflow-backend":
        return known
    try:
        from mlflow_backend_sign_in.plugin import Provider  # noqa: PLC0415 - the copied file is alone
        from mlflow_backend_sign_in.tokens import SignInFailed  # noqa: PLC0415
    except ImportError:
        raise GateClosed(
            "MLFLOW_TRACKING_AUTH is mlflow-backend: install mlflow-backend-client, or unset it."
        ) from None
    try:
        return {**known, **Provider().get_auth().headers(other_login="Authorization" in known)}
    except SignInFailed as failure:
        raise GateClosed(str(failure)) from None


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def _google(what: str, timeout_s: float, **query: str) -> str:
    """Return what Google's metadata server says of the machine's service account."""
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    address = _METADATA.format(host=host, what=what) + (f"?{urlencode(query)}" if query else "")
    request = Request(address, headers={"Metadata-Flavor": "Google"})  # noqa: S310 - http
    try:
        with build_opener().open(request, timeout=timeout_s) as answer:
            return str(answer.read(_LARGEST_ANSWER).decode())
    except OSError as error:
        raise _Again(f"Google's metadata server gave no {what} ({error}). It answers on Google Cloud alone.") from None


class _Files:
    """The two files in the output folder, each written whole or not at all; none if no folder is named."""

    def __init__(self, output: str, *, uri: str, experiment: str, revision: str) -> None:
        self._output, self._uri, self._experiment, self._revision = output, uri, experiment, revision

    def write(self, stage: str, *, run: Run | None = None, error: str = "") -> None:
        """Write both. Raises GateClosed."""
        if not self._output:
            return
        run_id, experiment_id = (run.run_id, run.experiment_id) if run else (None, None)
        about = {"tracking_uri": self._uri, "experiment_name": self._experiment, "experiment_id": experiment_id}
        status = {
            "stage": stage,
            "error": error or None,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "revision": self._revision or None,
        }
        self._write(INFO, {**about, "run_id": run_id})
        self._write(STATUS, {**status, **about, "run_id": run_id})

    def _write(self, name: str, document: dict[str, Any]) -> None:
        content = (json.dumps(document, indent=2) + "\n").encode()
        scheme, _, rest = self._output.partition("://")
        try:
            if scheme == "gs" and rest:
                _to_gcs(rest, name, content)
            elif scheme == "s3" and rest:
                _to_s3(rest, name, content)
            else:
                _to_folder(Path(self._output), name, content)
        except Exception as error:
            raise GateClosed(f"--output: {name} cannot be written to {self._output}: {error}.") from error


def _to_folder(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # noqa: PTH101 - as any file, for the pipeline's next step
        os.replace(temporary, folder / name)  # noqa: PTH105 - atomic, by the text of mkstemp
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108 - the same
        raise


def _to_gcs(address: str, name: str, content: bytes) -> None:
    bucket, key = _object(address, name)
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    query = urlencode({"uploadType": "media", "name": key})
    base = emulator or "https://storage.googleapis.com"
    headers = {"Content-Type": "application/json"}
    if not emulator:
        headers["Authorization"] = f"Bearer {json.loads(_google('token', OUTPUT_S))['access_token']}"
    target = f"{base}/upload/storage/v1/b/{quote(bucket)}/o?{query}"
    request = Request(target, data=content, headers=headers, method="POST")  # noqa: S310 - https
    with build_opener().open(request, timeout=OUTPUT_S) as answer:
        answer.read(_LARGEST_ANSWER)


def _to_s3(address: str, name: str, content: bytes) -> None:
    try:
        import boto3  # noqa: PLC0415 - only who writes to S3 needs it, as MLflow's own client does
        from botocore.config import Config  # noqa: PLC0415
    except ImportError:
        raise GateClosed("boto3 is not installed, by which S3 is written") from None
    bucket, key = _object(address, name)
    limits = Config(connect_timeout=OUTPUT_S / 4, read_timeout=OUTPUT_S / 4, retries={"total_max_attempts": 2})
    client = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None, config=limits)
    client.put_object(Bucket=bucket, Key=key, Body=content, ContentType="application/json")


def _object(address: str, name: str) -> tuple[str, str]:
    bucket, _, folder = address.partition("/")
    return bucket, "/".join(filter(None, (folder.strip("/"), name)))


def _now_ms() -> int:
    return int(time.time() * 1000)


if __name__ == "__main__":
    sys.exit(main())
