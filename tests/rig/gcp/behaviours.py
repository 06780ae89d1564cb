"""What Google Cloud does, and the rig with it: each row with its source, and a test of its own against the rig alone.

A row that has no test is found by `test_gcp_behaviours.py`. A source is a page of Google's, by its title and address
below https://cloud.google.com/, or a thread in which somebody was shown the behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Behaviour:
    """One behaviour: what happens, and who says so."""

    says: str
    source: str


BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    "scheduler_calls_as_an_account": Behaviour(
        "a job of Cloud Scheduler runs a job as the account that it names, if that may invoke it and says nothing else",
        "scheduler/docs/http-target-auth; 'Cloud Run IAM permissions', run/docs/reference/iam/permissions",
    ),
    "two_urls": Behaviour(
        "a service has a URL of its project's number and one of a hash, and each tag has both",
        "'HTTPS requests', run/docs/triggering/https-request",
    ),
    "http1_limit": Behaviour(
        "a request of more than 32 MiB is refused if the container speaks HTTP/1, and is no limit if it speaks HTTP/2",
        "'Quotas and limits', run/quotas",
    ),
    "no_revision_in_the_first_traffic": Behaviour(
        "traffic of the first deployment that names a revision fails: it does not exist yet",
        "terraform-google-modules/terraform-docs-samples#269",
    ),
    "a_name_is_used_once": Behaviour(
        "another template under a revision's name is a 409, with the same one no new revision",
        "hashicorp/terraform-provider-google#14569 and #9438",
    ),
    "wrong_etag": Behaviour(
        "a change with the etag of an older state is a 409 and changes nothing",
        "run.v2, Service.etag; google.aip.dev/154",
    ),
    "unready_serves_nobody": Behaviour(
        "a revision whose container does not listen in time fails the operation with code 9; the traffic stays",
        "octo-sts/app#1005",
    ),
    "a_split_stays": Behaviour(
        "once a revision is named in the traffic, later deployments get none until the latest is named again",
        "'Rollbacks, gradual rollouts, and traffic migration', run/docs/rollouts-rollbacks-traffic-migration",
    ),
    "a_tag_needs_no_traffic": Behaviour(
        "a revision without traffic answers at the URL of its tag, and at no other",
        "'Rollbacks, gradual rollouts, and traffic migration', run/docs/rollouts-rollbacks-traffic-migration",
    ),
    "traffic_by_share": Behaviour(
        "requests go to revisions by their shares",
        "'Rollbacks, gradual rollouts, and traffic migration', run/docs/rollouts-rollbacks-traffic-migration",
    ),
    "scale_to_zero": Behaviour(
        "an instance that is idle ends, unless a minimum keeps it; the next request starts one and waits for it",
        "'About instance autoscaling', run/docs/about-instance-autoscaling",
    ),
    "minimum_of_the_service": Behaviour(
        "the service's minimum is in force without a new revision, and counts revisions with traffic only",
        "'Set minimum instances', run/docs/configuring/min-instances",
    ),
    "minimum_of_a_revision": Behaviour(
        "a revision's own minimum runs as long as it has a tag, with no traffic at all",
        "'Set minimum instances', run/docs/configuring/min-instances",
    ),
    "scaling_is_always_shown": Behaviour(
        "a service that says nothing of its minimum is shown with 0",
        "csoh.org's PR 665 (2026-05): a lasting difference of the provider",
    ),
    "structured_logs": Behaviour(
        "a line that is a JSON object has no text in the log, but its fields",
        "'Structured logging', logging/docs/structured-logging; 'Logging and viewing logs', run/docs/logging",
    ),
    "manual_scaling": Behaviour(
        "a service that is scaled by hand to none has no instance until it is automatic again, but for one at each tag "
        "that is asked of a revision without traffic",
        "'Manual scaling', run/docs/configuring/services/manual-scaling; run.v2, ServiceScaling",
    ),
    "no_instance_left": Behaviour(
        "with every instance at its concurrency and no more allowed, a request waits and is a 429 then",
        "'About instance autoscaling', run/docs/about-instance-autoscaling",
    ),
    "request_timeout": Behaviour(
        "a request that takes longer than the revision's timeout is a 504, and the instance goes on",
        "'Request timeout', run/docs/configuring/request-timeout",
    ),
    "identity_tokens": Behaviour(
        "without invoker's identity token a request is a 403; one that is wrong, old or for somebody else is a 401",
        "'Troubleshoot Cloud Run', run/docs/troubleshooting",
    ),
    "second_header": Behaviour(
        "X-Serverless-Authorization is checked if it is there, and Authorization reaches the container untouched",
        "'Service-to-service authentication', run/docs/authenticating/service-to-service",
    ),
    "signature_removed": Behaviour(
        "the container gets the caller's identity token without its signature",
        "'Service-to-service authentication', run/docs/authenticating/service-to-service",
    ),
    "iap": Behaviour(
        "with IAP an account signs for an hour at most that it calls this host, and IAP's own agent must be an invoker",
        "'Programmatic authentication', iap/docs/authentication-howto; 'Configure IAP for Cloud Run', "
        "run/docs/securing/identity-aware-proxy-cloud-run; cloud-foundation-fabric#1321",
    ),
    "secret_denied": Behaviour(
        "a revision whose account may not read a secret fails, and the account and the role are named",
        "terraform-google-modules/terraform-docs-samples#168",
    ),
    "architecture": Behaviour(
        "an index without linux/amd64 is refused; a single image of another architecture does not start",
        "'Container runtime contract', run/docs/container-contract; pulumi/templates#490",
    ),
    "liveness": Behaviour(
        "an instance whose liveness probe fails is ended, and another one is started",
        "'Configure container health checks', run/docs/configuring/healthchecks",
    ),
    "readiness": Behaviour(
        "an instance whose readiness probe fails gets no new request and is not ended",
        "'Configure container health checks', run/docs/configuring/healthchecks",
    ),
    "sigterm": Behaviour(
        "an instance is asked to end by SIGTERM, and killed ten seconds later",
        "'Container runtime contract', run/docs/container-contract",
    ),
    "old_revisions_go": Behaviour(
        "beyond the limit the oldest revisions that have neither traffic nor tag are deleted",
        "'Quotas and limits', run/quotas",
    ),
    "metadata": Behaviour(
        "a container asks the metadata server who it is, with the header that it insists on",
        "'Introduction to service identity', run/docs/securing/service-identity",
    ),
    "jobs": Behaviour(
        "an execution overrides arguments and variables, ends as its container does, and its output is in the logs",
        "run.v2, RunJobRequest; 'Execute jobs', run/docs/execute/jobs",
    ),
    "unknown_is_refused": Behaviour(
        "a field, a parameter or a path that the discovery document does not have is refused",
        "run.v2's discovery document",
    ),
    "peering": Behaviour(
        "an instance holds its network's connection to Google's services, also once it is deleted, and the connection "
        "holds the network; the peering can be removed",
        "GoogleCloudPlatform/magic-modules#18476",
    ),
    "policy_etag": Behaviour(
        "a policy that was changed meanwhile is not overwritten: 409",
        "'Policy', iam/docs/reference/rest/v1/Policy",
    ),
}
