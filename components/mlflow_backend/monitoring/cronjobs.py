"""The figures of scheduled work in a cluster, recorded from those that kube-state-metrics has of CronJobs. Pure.

They have the names that the figures of a stack on this machine have, so that alerts and graphs are the same. A server
knows nothing of scheduled work: its result is the cluster's word.
"""

from __future__ import annotations

import json
from string import Template
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.monitoring.rules import recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Of work that was never done, the time since when it is wanted.
_DONE: Final = "max(kube_cronjob_status_last_successful_time{$own} or kube_cronjob_created{$own})"
_BEGUN: Final = "max(kube_cronjob_status_last_schedule_time{$own})"
# While it is done again, the last result is not known any more.
_FAILED: Final = f"({_BEGUN} > bool {_DONE}) unless sum(kube_cronjob_status_active{{$own}}) > 0"


def recorded(
    own: Mapping[str, str], cron_jobs: Mapping[str, str], *, namespace: str, verification: str
) -> Iterator[dict[str, Any]]:
    """Give the recording rules of a backend whose series have the labels `own`.

    `cron_jobs` has the name of a CronJob by its work; the work `verification` says whether the last one passed.
    """
    for work, name in cron_jobs.items():
        selector = f"namespace={json.dumps(namespace)}, cronjob={json.dumps(name)}"
        labels = {**own, "part": "stack"}
        failed = Template(_FAILED).substitute(own=selector)
        of_work = {**labels, "work": work}
        yield recording("work_done_time_seconds", Template(_DONE).substitute(own=selector), of_work)
        yield recording("work_failed", failed, of_work)
        if work == verification:
            yield recording("verification_passed", f"1 - ({failed})", labels)
