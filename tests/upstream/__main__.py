"""Validate and plan every recorded resource of every variant of a stack with the upstream provider.

A finding is an error of the provider's validation or plan, an input that it does not have, or a replacement in the plan
that follows. Resources that are wrong on purpose have to be found each time.
Exit codes: 0 none; 1 findings, or a wrong resource that was not found; 4 the provider cannot be built or run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from typing import Any, Final

from mlflow_backend.contract import ExitCode
from tests.components.ecs.recording import record
from tests.components.ecs.stacks import VARIANTS
from tests.upstream import build
from tests.upstream.mapping import upstream_inputs, upstream_type
from tools.bootstrap.commands import CommandError

JUDGE_DEADLINE_S: Final = 600
FINDINGS_FAILED: Final = 1

CONTROLS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "unused", "type": "aws_s3_bucket", "inputs": {"bucket": "b-1", "buckett": "b-1"}},
    {"name": "error", "type": "aws_cloudwatch_log_group", "inputs": {"name": "group", "retentionInDays": 2}},
    {
        "name": "replacement",
        "type": "aws_s3_bucket",
        "inputs": {"bucket": "first-name"},
        "then": {"bucket": "second-name"},
    },
)
"""Resources that are wrong, each named by the kind of what has to be found."""

DRAWN: Final[dict[str, dict[str, Any]]] = {
    "aws_lb_target_group": {"protocol_version": "HTTP1"},
    "aws_sns_topic": {"fifo_throughput_scope": ""},
}
"""What AWS answers for what is not set, where the second plan would judge a stand-in for it."""


def asked() -> list[dict[str, Any]]:
    """Return every AWS resource of every variant, under Terraform's type."""
    found = []
    for variant in VARIANTS:
        for each in record(variant):
            if each.type.startswith("aws:"):
                kind = upstream_type(each.type)
                found.append(
                    {
                        "name": f"{variant}/{each.name}",
                        "type": kind,
                        "inputs": upstream_inputs(each.type, each.inputs),
                        "drawn": DRAWN.get(kind, {}),
                    }
                )
    return found


def judged(resources: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return what the provider finds. Raises CommandError if it cannot be built or run."""
    try:
        done = subprocess.run(
            [build.ensure()],
            input=json.dumps(resources),
            # Nothing of this machine's AWS is read.
            env={"PATH": os.environ["PATH"], "HOME": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"},
            capture_output=True,
            text=True,
            timeout=JUDGE_DEADLINE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise CommandError(said.strip().splitlines()[-1]) from error
    findings: list[dict[str, str]] = json.loads(done.stdout)
    return findings


def main() -> int:
    """Run the command."""
    warnings.simplefilter("ignore")
    resources = asked()
    try:
        findings = judged([*resources, *CONTROLS])
    except CommandError as error:
        print(f"upstream: {error}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    controls = {each["name"] for each in CONTROLS}
    wrong = [each for each in findings if each["name"] not in controls]
    missed = controls - {each["kind"] for each in findings if each["name"] == each["kind"]}
    for each in wrong:
        print(f"{each['kind']}: {each['type']} {each['name']}: {each['said']}")
    for name in sorted(missed):
        print(f"the control '{name}' was not found: what is said of the others shows nothing")
    print(f"{len(resources)} resources of {len(VARIANTS)} variants, {len(wrong)} findings")
    return FINDINGS_FAILED if wrong or missed else ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
