"""The Admin API of jobs: an execution runs its one task's container to its end, again if the job says so."""

from __future__ import annotations

import copy
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.instance import Instance, Machinery, NotStarted
from tests.rig.gcp.run.model import now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.gcp.discovery import Call, Directory
    from tests.rig.gcp.logs import Logs
    from tests.rig.gcp.operations import Operations
    from tests.rig.gcp.policies import Policies

_RETRIES: Final = 3
_TIMEOUT: Final = "600s"


@dataclass(eq=False, kw_only=True)
class Execution:
    """One run of a job."""

    name: str
    job: str
    template: dict[str, Any]
    created: str = field(default_factory=now)
    completed: str = ""
    state: str = "CONDITION_RECONCILING"
    message: str = ""
    retried: int = 0
    code: int | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    instance: Instance | None = None

    def document(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        right, done = self.state == "CONDITION_SUCCEEDED", bool(self.completed)
        counts = {
            "runningCount": int(not done), "succeededCount": int(right),
            "failedCount": int(done and not right and not self.cancelled.is_set()),
            "cancelledCount": int(done and self.cancelled.is_set()), "retriedCount": self.retried,
        }  # fmt: skip
        condition = {"type": "Completed", "state": self.state, "message": self.message}
        ended = {"completionTime": self.completed} if done else {}
        return {
            "name": f"{self.job}/executions/{self.name}", "job": self.job.rpartition("/")[2], "taskCount": 1,
            "parallelism": 1, "createTime": self.created, "startTime": self.created, "template": self.template,
            "conditions": [condition], "reconciling": not done, **ended,
            **{key: each for key, each in counts.items() if each},
        }  # fmt: skip


class Jobs:
    """All jobs and their executions, by their full names."""

    def __init__(
        self, directory: Directory, operations: Operations, policies: Policies, machinery: Machinery, logs: Logs
    ) -> None:
        self._operations, self._policies, self._machinery, self._logs = operations, policies, machinery, logs
        self.kept: dict[str, dict[str, Any]] = {}
        self.executions: dict[str, Execution] = {}
        self._lock = threading.Lock()
        directory.handle(
            "run.projects.locations.jobs",
            create=self._create, get=self._get, list=self._list, patch=self._patch, delete=self._delete,
            run=self._run, setIamPolicy=policies.change, getIamPolicy=policies.show,
        )  # fmt: skip
        directory.handle("run.projects.locations.jobs.executions.tasks", list=self._list_tasks)
        directory.handle(
            "run.projects.locations.jobs.executions",
            get=lambda call: self._execution(call["name"]).document(), list=self._list_executions,
            cancel=self._cancel, delete=self._delete_execution,
        )  # fmt: skip

    def live(self) -> list[Instance]:
        """Return the instances of tasks that have a process."""
        return [each.instance for each in self.executions.values() if each.instance and not each.instance.ended]

    def close(self) -> None:
        """End every task."""
        for execution in self.executions.values():
            execution.cancelled.set()
        for instance in self.live():
            instance.end(grace_s=0)

    def _create(self, call: Call) -> Any:
        name = f"{call['parent']}/jobs/{call.query.get('jobId', '')}"
        with self._lock:
            if name in self.kept:
                raise Failed(409, f"Resource '{name.rpartition('/')[2]}' already exists.", "ALREADY_EXISTS")
            self._keep(name, call.body)
        return self._begin(name)

    def _get(self, call: Call) -> dict[str, Any]:
        return self._find(call["name"])

    def _list(self, call: Call) -> dict[str, Any]:
        return {"jobs": [self._find(name) for name in self.kept if name.startswith(call["parent"])]}

    def _patch(self, call: Call) -> Any:
        job = self._find(call["name"])
        if call.body.get("etag") not in (None, "", job["etag"]):
            raise Failed(409, "The etag is not the resource's: it was changed meanwhile.")
        self._keep(call["name"], {key: each for key, each in call.body.items() if key not in {"etag", "name"}})
        return self._begin(call["name"])

    def _delete(self, call: Call) -> Any:
        job = self._find(call["name"])
        del self.kept[call["name"]]
        self._policies.forget(call["name"])
        parent = call["name"].partition("/jobs/")[0]
        return self._operations.begin(parent, lambda: job, kind="google.cloud.run.v2.Job")

    def _keep(self, name: str, body: Mapping[str, Any]) -> None:
        if body.get("template", {}).get("taskCount", 1) != 1:
            raise Failed(501, "the rig runs jobs of one task")
        if len(body["template"]["template"]["containers"]) != 1:
            raise Failed(501, "the rig runs jobs of one container")
        known = self.kept.get(name, {"uid": secrets.token_hex(16), "createTime": now(), "generation": "0"})
        kept = {key: known[key] for key in ("uid", "createTime")}
        generation = str(int(known["generation"]) + 1)
        condition = {"type": "Ready", "state": "CONDITION_SUCCEEDED"}
        self.kept[name] = {
            **copy.deepcopy(dict(body)), **kept, "name": name, "etag": f'"{secrets.token_hex(8)}"',
            "generation": generation, "observedGeneration": generation, "reconciling": False,
            "terminalCondition": condition,
        }  # fmt: skip

    def _begin(self, name: str) -> Any:
        parent = name.partition("/jobs/")[0]
        return self._operations.begin(parent, lambda: self.kept[name], kind="google.cloud.run.v2.Job")

    def _run(self, call: Call) -> Any:
        job = self._find(call["name"])
        overrides = (call.body or {}).get("overrides", {})
        # 'IAM permissions' (Cloud Run): other arguments than the job's own take another permission.
        wanted = "run.jobs.runWithOverrides" if overrides else "run.jobs.run"
        if not self._policies.allows(call.caller, wanted, call["name"]):
            raise Failed(403, f"Permission '{wanted}' denied on resource '{call['name']}'.")
        template = copy.deepcopy(job["template"]["template"])
        if "timeout" in overrides:
            template["timeout"] = overrides["timeout"]
        for override in overrides.get("containerOverrides", []):
            (container,) = template["containers"]
            if override.get("name", container.get("name")) != container.get("name"):
                raise Failed(400, f"the job has no container {override['name']}")
            if override.get("clearArgs") or "args" in override:
                container["args"] = override.get("args", [])
            changed = {each["name"]: each for each in override.get("env", [])}
            container["env"] = [
                *(each for each in container.get("env", []) if each["name"] not in changed), *changed.values()
            ]  # fmt: skip
        short = call["name"].rpartition("/")[2]
        execution = Execution(name=f"{short}-{secrets.token_hex(3)[:5]}", job=call["name"], template=template)
        self.executions[execution.document()["name"]] = execution
        job["latestCreatedExecution"] = {"name": execution.name, "createTime": execution.created}
        job["executionCount"] = job.get("executionCount", 0) + 1
        return self._operations.begin(
            call["name"].partition("/jobs/")[0],
            lambda: self._bring_about(execution),
            kind="google.cloud.run.v2.Execution",
            metadata={"@type": "type.googleapis.com/google.cloud.run.v2.Execution", **execution.document()},
        )

    def _bring_about(self, execution: Execution) -> dict[str, Any]:
        tries = 1 + execution.template.get("maxRetries", _RETRIES)
        for number in range(tries):
            execution.retried = number
            execution.message = self._task(execution, number)
            if not execution.message or execution.cancelled.is_set():
                break
        execution.state = "CONDITION_FAILED" if execution.message else "CONDITION_SUCCEEDED"
        execution.completed = now()
        if execution.message:
            raise Failed(500, execution.message, "INTERNAL")
        return execution.document()

    def _task(self, execution: Execution, number: int) -> str:
        """Run the task once, and return why it failed, '' if it did not."""
        (container,) = execution.template["containers"]
        container.setdefault("name", "job")
        short = execution.job.rpartition("/")[2]
        said = self._logs.writer(
            "cloud_run_job",
            labels={
                "run.googleapis.com/execution_name": execution.name,
                "run.googleapis.com/task_attempt": str(number),
            },
            job_name=short,
            location=execution.job.split("/")[3],
        )
        variables = {
            "CLOUD_RUN_JOB": short, "CLOUD_RUN_EXECUTION": execution.name, "CLOUD_RUN_TASK_INDEX": "0",
            "CLOUD_RUN_TASK_COUNT": "1", "CLOUD_RUN_TASK_ATTEMPT": str(number),
        }  # fmt: skip
        instance = execution.instance = Instance(
            machinery=self._machinery, template=execution.template, variables=variables, said=said, task=True
        )
        until = time.monotonic() + float(execution.template.get("timeout", _TIMEOUT).removesuffix("s"))
        try:
            instance.start()
            code = None
            while code is None and time.monotonic() < until and not execution.cancelled.is_set():
                code = instance.wait(container["name"], 0.1)
        except NotStarted as error:
            return str(error)
        finally:
            instance.end()
        execution.code = code
        if execution.cancelled.is_set():
            return f"Execution {execution.name} was cancelled."
        task = f"Task {execution.name}-task0 failed with message:"
        if code is None:
            return f"{task} The configured timeout was reached."
        return f"{task} The container exited with an error: exit({code})." if code else ""

    def _list_executions(self, call: Call) -> dict[str, Any]:
        found = [each.document() for each in self.executions.values() if each.job == call["parent"]]
        return {"executions": found[::-1]}

    def _list_tasks(self, call: Call) -> dict[str, Any]:
        execution = self._execution(call["parent"])
        result = {"exitCode": execution.code} if execution.code is not None else {}
        condition = {"type": "Completed", "state": execution.state, "message": execution.message}
        task = {
            "name": f"{call['parent']}/tasks/{execution.name}-task0", "execution": execution.name, "index": 0,
            "conditions": [condition], "retried": execution.retried, "lastAttemptResult": result,
        }  # fmt: skip
        return {"tasks": [task]}

    def _cancel(self, call: Call) -> Any:
        execution = self._execution(call["name"])
        execution.cancelled.set()
        parent = execution.job.partition("/jobs/")[0]
        return self._operations.begin(parent, execution.document, kind="google.cloud.run.v2.Execution")

    def _delete_execution(self, call: Call) -> Any:
        execution = self._execution(call["name"])
        if not execution.completed:
            raise Failed(400, "the execution runs", "FAILED_PRECONDITION")
        del self.executions[call["name"]]
        parent = execution.job.partition("/jobs/")[0]
        return self._operations.begin(parent, execution.document, kind="google.cloud.run.v2.Execution")

    def _execution(self, name: str) -> Execution:
        if name not in self.executions:
            raise Failed(404, f"Resource '{name.rpartition('/')[2]}' of kind 'EXECUTION' does not exist.")
        return self.executions[name]

    def _find(self, name: str) -> dict[str, Any]:
        if name not in self.kept:
            raise Failed(404, f"Resource '{name.rpartition('/')[2]}' of kind 'JOB' does not exist.")
        return self.kept[name]
