"""A team's code as a verification runs it, by the public API of whatever MLflow client runs this file.

Run by the Python of a client's environment, it imports nothing of this project. It reads one JSON object from standard
input: `own` (a text that nobody else's names hold), `experiment` and `model` (names to use), `tags` (of both), `folder`
(for its files), `headers` (a login, sent with each request) and `actions` (which to do, in order). When MLflow is
imported, and after each action, it prints one line of JSON: `action`, `ok`, `ms`, and `says`, which is what it saw or
why it failed. The server's address is what MLflow's client takes from the environment.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

warnings.simplefilter("ignore")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow  # noqa: E402 - its warnings are silenced first
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.models import MetricThreshold  # noqa: E402
from mlflow.tracking.request_header.registry import _request_header_provider_registry  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "Ünïcödé Ελληνικά Кириллица עברית العربية हिन्दी 中文 🙂"
LETTERS = "Ελληνικά Кириллица 中文"
"""What names of parameters and metrics may hold: letters of any alphabet."""
BATCH = 1_000
LARGE = 16 << 20
READ_S = 20
"""Seconds after which what was written must be read back, where the server stores it after it has answered."""
READERS = 8
"""Connections at once: with that many, each worker of a server serves some."""
NOBODY = "https://192.0.0.9/"
"""Where the webhook points, which is never called. No host has this address (RFC 7723); MLflow takes it for public."""


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model that doubles its numbers."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002 - MLflow's signature
        """Double the numbers."""
        return model_input * 2


class Team:
    """A team at work: one experiment, one run, one registered model. Each public method is an action."""

    def __init__(self, *, own: str, experiment: str, model: str, tags: dict[str, str], folder: str) -> None:
        self._own = own
        self._name = experiment
        self._model = model
        self._tags = tags
        self._folder = Path(folder)
        self._client = mlflow.MlflowClient()
        self._experiment = ""
        self._run = ""
        self._model_id = ""

    def experiment(self) -> str:
        """Make an experiment and read it by its name."""
        self._experiment = self._client.create_experiment(self._name, tags=self._tags)
        found = self._client.get_experiment_by_name(self._name)
        _same(self._name, found.name)
        _same(self._tags, {key: found.tags.get(key) for key in self._tags})
        mlflow.set_experiment(self._name)
        return f"experiment {self._experiment}"

    def run(self) -> str:
        """Log parameters, tags and a metric in a run, and read it back."""
        with mlflow.start_run(run_name=TEXT) as run:
            self._run = run.info.run_id
            mlflow.log_params({"lr": 0.1, LETTERS: TEXT})
            mlflow.set_tags({"note": TEXT, LETTERS: "x"})
            mlflow.log_metric(LETTERS, 1.5, step=1)
        data = self._client.get_run(self._run).data
        _same(TEXT, data.params[LETTERS])
        _same(TEXT, data.tags["note"])
        _same(1.5, data.metrics[LETTERS])
        return "read back"

    def batch(self) -> str:
        """Log a thousand metrics at once, and read their history."""
        moment = int(time.time() * 1000)
        metrics = [Metric("loss", step / 8, moment + step, step) for step in range(BATCH)]
        self._client.log_batch(self._run, metrics=metrics)
        self._client.log_batch(self._run, params=[Param("p", "1")], tags=[RunTag("t", TEXT)])
        history = self._client.get_metric_history(self._run, "loss")
        _same([metric.value for metric in metrics], [metric.value for metric in sorted(history, key=lambda m: m.step)])
        return f"{len(history)} values"

    def nested_artifacts(self) -> str:
        """Log a folder of folders, list it and download it."""
        source = self._folder / "nested"
        files = {"a.txt": "top", "one/two/ä b.txt": TEXT, "one/empty.txt": ""}
        for path, text in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(text, encoding="utf-8")
        self._client.log_artifacts(self._run, str(source), "nested")
        _same(
            ["nested/a.txt", "nested/one"],
            sorted(file.path for file in self._client.list_artifacts(self._run, "nested")),
        )
        got = Path(self._download("nested"))
        _same(files, {path: (got / path).read_text(encoding="utf-8") for path in files})
        return f"{len(files)} files"

    def large_artifact(self) -> str:
        """Log a large file and download it."""
        source, block = self._folder / "large.bin", os.urandom(1 << 20)
        with source.open("wb") as file:
            for _ in range(LARGE >> 20):
                file.write(block)
        self._client.log_artifact(self._run, str(source))
        got = Path(self._download("large.bin"))
        if got.read_bytes() != source.read_bytes():
            raise AssertionError("it came back changed")
        return f"{LARGE >> 20} MiB"

    def model_by_artifact_path(self) -> str:
        """Log a model by `artifact_path`, the way of MLflow 2."""
        with mlflow.start_run(run_id=self._run):
            info = mlflow.pyfunc.log_model(artifact_path="model", python_model=Doubled(), pip_requirements=[])
        return self._doubles(info.model_uri)

    def model_by_name(self) -> str:
        """Log a model by `name`, the way of MLflow 3."""
        with mlflow.start_run(run_id=self._run):
            info = mlflow.pyfunc.log_model(name="named", python_model=Doubled(), pip_requirements=[])
        self._model_id = str(info.model_id)
        return self._doubles(info.model_uri)

    def model_by_id(self) -> str:
        """Load a model by its id."""
        return self._doubles(f"models:/{self._model_id}")

    def sklearn_model(self) -> str:
        """Log, load and use a model of scikit-learn."""
        import numpy as np  # noqa: PLC0415 - seconds, and only this action needs it
        from sklearn.linear_model import LinearRegression  # noqa: PLC0415

        x = np.array([[1.0], [2.0], [3.0]])
        with mlflow.start_run(run_id=self._run):
            info = mlflow.sklearn.log_model(LinearRegression().fit(x, [2.0, 4.0, 6.0]), "linear", pip_requirements=[])
        _same(8, round(float(mlflow.sklearn.load_model(info.model_uri).predict([[4.0]])[0])))
        return "predicts"

    def registered_model(self) -> str:
        """Register a model twice and load it by name and version."""
        self._client.create_registered_model(self._model, tags=self._tags, description=TEXT)
        for _ in (1, 2):
            version = mlflow.register_model(f"runs:/{self._run}/model", self._model)
        _same("2", str(version.version))
        _same(TEXT, self._client.get_registered_model(self._model).description)
        return self._doubles(f"models:/{self._model}/1")

    def aliases(self) -> str:
        """Name a champion and a challenger, and load the champion by its alias."""
        self._client.set_registered_model_alias(self._model, "challenger", "1")
        self._client.set_registered_model_alias(self._model, "champion", "1")
        self._client.set_registered_model_alias(self._model, "champion", "2")
        _same("2", str(self._client.get_model_version_by_alias(self._model, "champion").version))
        self._client.delete_registered_model_alias(self._model, "challenger")
        return self._doubles(f"models:/{self._model}@champion")

    def stages(self) -> str:
        """Move a version to a stage, and load it by that."""
        self._client.transition_model_version_stage(self._model, "1", "Staging")
        return self._doubles(f"models:/{self._model}/Staging")

    def threshold_higher(self) -> str:
        """State an evaluation threshold by `higher_is_better`."""
        return str(MetricThreshold(threshold=0.5, min_absolute_change=0.1, higher_is_better=True))

    def threshold_greater(self) -> str:
        """State an evaluation threshold by `greater_is_better`."""
        return str(MetricThreshold(threshold=0.5, min_absolute_change=0.1, greater_is_better=True))

    def dataset(self) -> str:
        """Log a dataset as the input of a run, and read it back."""
        import numpy as np  # noqa: PLC0415 - as above

        data = mlflow.data.from_numpy(np.arange(6.0).reshape(3, 2), name="train")
        with mlflow.start_run(run_id=self._run):
            mlflow.log_input(data, context="training")
        found = self._client.get_run(self._run).inputs.dataset_inputs
        _same([("train", data.digest)], [(item.dataset.name, item.dataset.digest) for item in found])
        return str(data.digest)

    def trace(self) -> str:
        """Trace a call with two spans, and read it back with them."""

        @mlflow.trace(name="outer")  # type: ignore[untyped-decorator]
        def outer(question: str) -> str:
            with mlflow.start_span("inner") as span:
                span.set_inputs({"text": question})
            return question.upper()

        outer(TEXT)
        flush = getattr(mlflow, "flush_trace_async_logging", None)
        if flush is not None:
            flush()
        (found,) = _until(lambda: self._client.search_traces(experiment_ids=[self._experiment]))
        _same(["inner", "outer"], sorted(span.name for span in found.data.spans))
        return "2 spans"

    def prompt(self) -> str:
        """Register a prompt and load it by its version."""
        name = f"prompt-{self._own}"
        prompts = mlflow.genai if hasattr(getattr(mlflow, "genai", None), "register_prompt") else mlflow
        prompts.register_prompt(name=name, template="Say {{text}} " + TEXT)
        try:
            loaded = prompts.load_prompt(f"prompts:/{name}/1")
            _same("Say x " + TEXT, loaded.format(text="x"))
        finally:
            if hasattr(self._client, "delete_prompt_version"):
                self._client.delete_prompt_version(name, "1")
                self._client.delete_prompt(name)
            else:
                self._client.delete_prompt(name, 1)
        return "formatted"

    def evaluation_dataset(self) -> str:
        """Make an evaluation dataset, add a record and read it back."""
        from mlflow.genai import datasets  # noqa: PLC0415 - older clients have none

        made = datasets.create_dataset(name=self._name, experiment_id=[self._experiment])
        try:
            made.merge_records([{"inputs": {"question": TEXT}, "expectations": {"answer": "x"}}])
            read = datasets.get_dataset(dataset_id=made.dataset_id)
            _same([TEXT], [inputs["question"] for inputs in read.to_df()["inputs"]])
        finally:
            datasets.delete_dataset(dataset_id=made.dataset_id)
        return "1 record"

    def webhook(self) -> str:
        """Make a webhook with a secret, and have every worker read it."""
        made = self._client.create_webhook(
            name=f"webhook-{self._own}",
            url=NOBODY,
            events=["model_version.created"],
            secret="s" * 24,
            status="DISABLED",
        )
        try:
            # MLflow decrypts the secret of each webhook that it reads.
            with ThreadPoolExecutor(READERS) as readers:
                read = list(readers.map(self._client.get_webhook, [made.webhook_id] * READERS * 2))
        finally:
            self._client.delete_webhook(made.webhook_id)
        _same([made.name] * len(read), [webhook.name for webhook in read])
        return f"read {len(read)} times"

    def search(self) -> str:
        """Search runs by metric, parameter and tag, page by page."""
        for number in range(5):
            run = self._client.create_run(self._experiment, tags={"kind": "searched"})
            self._client.log_metric(run.info.run_id, "acc", number / 10)
            self._client.log_param(run.info.run_id, "n", number)
        wanted, token = [], None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                "metrics.acc > 0.05 and tags.kind = 'searched' and params.n != '2'",
                max_results=2,
                order_by=["metrics.acc DESC"],
                page_token=token,
            )
            wanted += [run.data.params["n"] for run in page]
            token = page.token
            if not token:
                break
        _same(["4", "3", "1"], wanted)
        return "2 pages"

    def delete_restore(self) -> str:
        """Delete and restore a run and the experiment."""
        run_id = self._client.create_run(self._experiment).info.run_id
        stages = []
        for act in (self._client.delete_run, self._client.restore_run):
            act(run_id)
            stages.append(self._client.get_run(run_id).info.lifecycle_stage)
        for act in (self._client.delete_experiment, self._client.restore_experiment):
            act(self._experiment)
            stages.append(self._client.get_experiment(self._experiment).lifecycle_stage)
        _same(["deleted", "active"] * 2, stages)
        return "both"

    def graphql(self) -> str:
        """Ask for the run by GraphQL, as MLflow's pages do."""
        from mlflow.tracking._tracking_service.utils import _get_store  # noqa: PLC0415 - there is no public way
        from mlflow.utils.rest_utils import http_request  # noqa: PLC0415

        query = "query Q($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runId } } } }"
        document = {"operationName": "Q", "query": query, "variables": {"data": {"runId": self._run}}}
        answer = http_request(_get_store().get_host_creds(), "/graphql", "POST", json=document)
        if answer.status_code != 200:  # noqa: PLR2004 - HTTP
            raise AssertionError(f"status {answer.status_code}")
        _same(self._run, answer.json()["data"]["mlflowGetRun"]["run"]["info"]["runId"])
        return "the run"

    def command_line(self) -> str:
        """Search experiments, list runs and download an artifact by the command line."""
        _holds(self._experiment, _command("experiments", "search"))
        _holds(self._run, _command("runs", "list", "--experiment-id", self._experiment))
        folder = self._folder / "by-command"
        folder.mkdir()
        self._client.log_text(self._run, TEXT, "logged/note.txt")
        _command("artifacts", "download", "-r", self._run, "-a", "logged/note.txt", "-d", str(folder))
        (file,) = folder.rglob("note.txt")
        _same(TEXT, file.read_text(encoding="utf-8"))
        return "3 commands"

    def clean_up(self) -> str:
        """Delete the model and the experiment."""
        if self._model in {model.name for model in self._client.search_registered_models(f"name = '{self._model}'")}:
            self._client.delete_registered_model(self._model)
        if self._experiment:
            self._client.delete_experiment(self._experiment)
        return "deleted"

    def _download(self, path: str) -> str:
        folder = self._folder / "got"
        folder.mkdir(exist_ok=True)
        return str(mlflow.artifacts.download_artifacts(run_id=self._run, artifact_path=path, dst_path=str(folder)))

    def _doubles(self, uri: str) -> str:
        import pandas as pd  # noqa: PLC0415 - as above

        _same([2, 4], mlflow.pyfunc.load_model(uri).predict(pd.DataFrame({"x": [1, 2]}))["x"].tolist())
        return re.sub(r"[0-9a-f]{32}", "…", uri)


def _same(written: object, read: object) -> None:
    if written != read:
        raise AssertionError(f"wrote {written!r:.200}, read {read!r:.200}")


def _holds(part: str, text: str) -> None:
    if part not in text:
        raise AssertionError(f"{part} is not in what it printed: {text:.200}")


def _until(ask: Callable[[], Any]) -> Any:
    """What `ask` gives once it gives something; MLflow stores some things after it has answered."""
    deadline = time.monotonic() + READ_S
    while not (found := ask()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _command(*arguments: str) -> str:
    """What a command of MLflow's prints. It runs in this process: each would import MLflow anew, for seconds."""
    from mlflow.cli import cli  # noqa: PLC0415 - seconds, as above

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        cli.main(list(arguments), prog_name="mlflow", standalone_mode=False)
    return printed.getvalue()


def sign_in(headers: dict[str, str]) -> None:
    """Have MLflow's client send these headers with each request."""

    class Login:
        def in_context(self) -> bool:
            return True

        def request_headers(self) -> dict[str, str]:
            return headers

    _request_header_provider_registry.register(Login)


def main() -> None:
    """Do what standard input asks for; each action whatever became of those before it."""
    asked = json.load(sys.stdin)
    sign_in(asked.pop("headers"))
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What MLflow prints must not stand among the lines of JSON.
    os.dup2(2, 1)
    actions = asked.pop("actions")
    team = Team(**asked)
    lines.write(json.dumps({"action": "", "ok": True, "says": mlflow.__version__, "ms": 0}) + "\n")
    lines.flush()
    for action in actions:
        started = time.perf_counter()
        try:
            line: dict[str, Any] = {"ok": True, "says": getattr(team, action)()}
        except Exception as error:  # noqa: BLE001 - what fails is the answer
            line = {"ok": False, "says": f"{type(error).__name__}: {error}"[:600]}
        line["ms"] = round((time.perf_counter() - started) * 1000)
        lines.write(json.dumps({"action": action, **line}) + "\n")
        lines.flush()


if __name__ == "__main__":
    main()
