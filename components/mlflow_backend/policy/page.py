"""The page docs/policies.md as text, from the catalogue."""

from __future__ import annotations

from typing import Final

from mlflow_backend.policy.catalogue import POLICIES
from mlflow_backend.policy.iam import FAMILIES, RESOURCELESS

_HEAD: Final = """\
# Policies that every preview and update is held to

<!-- Written by `make pages` from what stands beside the rules in components/mlflow_backend/policy/. -->

`make preview` runs the pack in `components/mlflow_backend/policy/` with the real engine. A mandatory violation refuses
the preview (exit code 3); an advisory one is told. `make up` and the deploy job preview first, make nothing where that
is refused, and run the update itself under the same pack, which then sees what the preview could not know. A stack
chooses its levels in its settings, in a file that CODEOWNERS gives to the security owners:

```yaml
mlflow-backend:policy:
  levels:
    listener-tls: advisory      # reached through a VPN only
    stateful-protected: disabled
```

What a preview does not know yet is reported as *not evaluated*, never as passed. At a first preview container
definitions and IAM documents are made of ARNs that AWS has yet to draw; the rules on them are pure functions, and run
on what `mlflow_backend/ecs/render` makes of the settings too, which the report says.

What the policies do not judge: an adopted database, cache or bucket, which its owner answers for; traffic from the
balancer to the tasks, which is HTTP inside the network; resources of other programs in the same account.

| policy | level | asks for |
|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    rows = "".join(f"| [{each.name}](#{each.name}) | {each.level} | {each.what} |\n" for each in POLICIES)
    return f"{_HEAD}{rows}\n{''.join(_section(name) for name in range(len(POLICIES)))}{_listed()}"


def _section(number: int) -> str:
    policy = POLICIES[number]
    about = ", ".join(sorted(f"`{each}`" for each in policy.types)) or "every AWS resource that can have tags"
    return (
        f"## {policy.name}\n{policy.what}\n\n- **Why**: {policy.why}\n- **Remediation**: {policy.remediation}\n"
        f"- **Judges**: {about}\n\n"
    )


def _listed() -> str:
    resourceless = ", ".join(f"`{each}`" for each in sorted(RESOURCELESS))
    families = ", ".join(f"`{each}`" for each in sorted(FAMILIES))
    return (
        "## The listed few\n"
        f"`iam-without-wildcards` lets these act on any resource, for they know none: {resourceless}. These names of "
        f"families are AWS's own: {families}. A KMS key's policy may give its account everything on the key itself, "
        "without which nobody could use or delete it.\n"
    )
