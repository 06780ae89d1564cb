"""The report as one self-contained HTML page: verdict, checks, and a chart of latencies. No script, nothing loaded."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from mlflow_backend.verify import latency
from mlflow_backend.verify.model import Result

if TYPE_CHECKING:
    from mlflow_backend.verify.report import CheckReport, Report

STYLE: Final = """
:root { color-scheme: light dark; --pass: #1a7f37; --fail: #cf222e; --skip: #6e7781; --bar: #4493f8 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem } dt { opacity: .7 } dd { margin: 0 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8884 }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.badge { color: #fff; border-radius: .3rem; padding: .05rem .5rem; white-space: nowrap }
.pass { background: var(--pass) } .fail { background: var(--fail) } .skip { background: var(--skip) }
.inconclusive, .warn { background: #9a6700 }
.insecure { background: var(--fail); color: #fff; padding: .5rem 1rem }
.why { opacity: .85; font-size: .93em }
.bar { background: var(--bar); height: .8rem; border-radius: .2rem; min-width: 1px }
"""


def html(report: Report) -> str:
    """The page. Whatever a server said is escaped."""
    verdict = report.verdict.value if report.verdict else "running"
    facts = {
        "URL": report.url,
        "Profile": report.profile,
        "MLflow": _compared(report.served_version, report.expected_version),
        "Revision": _compared(report.served_revision, report.expected_revision),
        "Healthy after": _seconds(report.start_s),
        "Migration": _seconds(report.migration_s),
        "Started": report.started,
        "Finished": report.finished or "not yet",
        "Time": f"checks {report.checks_ms:.0f} ms, cleanup {report.cleanup_ms:.0f} ms, sweep {report.sweep_ms:.0f} ms "
        f"(deadline {report.deadline_s:.3g} s)",
    }
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>MLflow backend: {escape(verdict)}</title><style>{STYLE}</style></head><body>",
        f'<h1>MLflow backend: <span id="verdict" class="badge {escape(verdict)}">{escape(verdict)}</span></h1>',
        '<p class="insecure">INSECURE: certificates were not checked.</p>' if report.insecure else "",
        "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items()) + "</dl>",
        "<h2>Checks</h2><table id='checks'><tr><th>Result</th><th>Check</th><th>ms</th><th>Finding</th></tr>",
        *[_row(check) for check in report.checks],
        "</table>",
        _chart(report),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _row(check: CheckReport) -> str:
    why = "".join(
        f'<div class="why"><b>{label}:</b> {escape(text)}</div>'
        for label, text in (("Cause", check.cause), ("Next", check.next_step))
        if text
    )
    word = check.result.value
    time = "" if check.result is Result.SKIP else f"{check.latency_ms:.0f}"
    return (
        f'<tr><td><span class="badge {word}">{word}</span></td>'
        f'<td title="{escape(check.shows)}">{escape(check.name)}</td>'
        f'<td class="number">{time}</td><td>{escape(check.sentence)}{why}</td></tr>'
    )


def _chart(report: Report) -> str:
    rows = latency.table(report.timings)
    if not rows:
        return ""
    longest = max(row.median_ms for row in rows) or 1.0
    lines = [
        f'<tr><td>{escape(row.endpoint)}</td><td class="number">{row.count}</td>'
        f'<td class="number">{row.median_ms:.1f}</td>'
        f'<td class="number">{row.most_ms:.1f}</td>'
        f'<td style="width:40%"><div class="bar" style="width:{100 * row.median_ms / longest:.1f}%"></div></td></tr>'
        for row in rows
    ]
    head = "<tr><th>Endpoint</th><th>Calls</th><th>Median ms</th><th>Most ms</th><th></th></tr>"
    return f"<h2>Latency</h2><table id='latency'>{head}{''.join(lines)}</table>"


def _seconds(value: float | None) -> str:
    return "not known, or none" if value is None else f"{value:.1f} s"


def _compared(served: str | None, expected: str | None) -> str:
    if served is None:
        return "unknown" if expected is None else f"unknown ({expected} expected)"
    return served if expected in {None, served} else f"{served} ({expected} expected)"
