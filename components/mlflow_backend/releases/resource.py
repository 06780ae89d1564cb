"""The work of the dynamic resources of releases."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from pulumi.output import Unknown

from mlflow_backend.contract import PlatformFailed, Refused, VerificationFailed
from mlflow_backend.dynamic import UPDATE_ID, asked_again
from mlflow_backend.identity import ANY, object_of, recorded_of
from mlflow_backend.locator import from_document, read, write
from mlflow_backend.releases.reports import reports_of
from mlflow_backend.releases.targets import open_releases
from mlflow_backend.releases.verification import identity
from mlflow_backend.verify.model import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.identity import Recorded
    from mlflow_backend.locator import Locator
    from mlflow_backend.verify.report import Report

ENTRY: Final = ("locator", "revision")
HOLD: Final = ("withheld", "accepted")


def entry_changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether there is another release than the last recorded one.

    An update asks also whether its record and the locator are still there; a preview does not.
    """
    return _differs(ENTRY, olds, news) or (asked_again(olds, news) and not _is_whole(news))


def _is_whole(inputs: Mapping[str, Any]) -> bool:
    locator = from_document(inputs["locator"])
    return is_recorded(locator, inputs["revision"]) and is_kept(locator)


def is_recorded(locator: Locator, revision: str) -> bool:
    """Return whether the ledger ends with this release; what is wrong with the ledger is for `append` to name."""
    try:
        return bool(open_releases(locator).ledger.read().ends_with(revision))
    except (Refused, PlatformFailed):
        return False


def is_kept(locator: Locator) -> bool:
    """Return whether the backend's store has this locator; what is wrong with the store is for `append` to name."""
    try:
        return read(open_releases(locator).store) == locator
    except (Refused, PlatformFailed):
        return False


def append(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Record the verification that the backend's last report is of, and put the locator into the store.

    Raises VerificationFailed, PlatformFailed, PlatformFailed, Refused.
    """
    locator = from_document(inputs["locator"])
    report = reports_of(locator).latest()
    revision = str(inputs["revision"])
    if report is None or report.verdict is not Result.PASS or report.served_revision != revision:
        raise VerificationFailed(
            f"The backend's last report does not say that revision {revision} passed: it was verified by somebody "
            "else meanwhile. Repeat the update.",
            code="report-of-another-revision",
        )
    target = open_releases(locator)
    write(locator, target.store)
    contents = target.ledger.read()
    if contents.ends_with(revision):
        return _entry(inputs, contents.last)
    seen = _known_by(target, report)
    release = target.release(revision, verification_id=identity(report), verdict=report.verdict.value)
    record = target.ledger.add_release(release, identity=seen)
    # Only now: what served before is no longer the only one that is known to work.
    target.retire()
    return _entry(inputs, record.number)


def _entry(inputs: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {**{key: inputs.get(key) for key in (*ENTRY, "verified", UPDATE_ID)}, "number": number}


def _known_by(target: Any, report: Report) -> Recorded | None:
    """Return the identity to record, None if the server did not say it; the store gets one if it has none."""
    live = report.served_identity
    if not live or live["database"] is None:
        return None
    found, store = recorded_of(live), live["store"]
    if store is None or store["database"] == ANY:
        found["store"] = store["id"] if store else str(uuid.uuid4())
        target.platform.mark_store(object_of(found["store"], found["database"]))
    return found


def still_serving(props: Mapping[str, Any]) -> bool:
    """Return whether the revision that was rolled out is the one that answers users."""
    try:
        return bool(open_releases(from_document(props["locator"])).platform.serving() == props["revision"])
    except Refused:
        return False


def rollout_changed(keys: tuple[str, ...], olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return the inputs among these that differ, all of them if what was rolled out does not serve any more."""
    return [key for key in keys if _differs((key,), olds, news)] if still_serving(olds) else list(keys)


def hold_changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether something else is withheld than at the last green end."""
    return _differs(HOLD, olds, news)


def hold(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs if nothing is withheld, or that is accepted. Raises Refused."""
    why = inputs["withheld"]
    if why and not inputs["accepted"]:
        raise Refused(
            f"Everything is up to date but the release: {why}. Lift it with `python -m scripts.rollback --stack "
            f"{inputs['stack']} --unpin`, or accept a pin with release.acceptPin.",
            code="release-withheld",
        )
    return {key: inputs.get(key) for key in HOLD}


def _differs(keys: tuple[str, ...], olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    return any(isinstance(news.get(key), Unknown) or olds.get(key) != news.get(key) for key in keys)
