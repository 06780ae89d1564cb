"""Whose files may be taken away: those of process groups in which nothing runs any more."""

from __future__ import annotations

import os
import subprocess
import sys

from mlflow_backend_server.http.metrics import group_lives


def test_a_group_lives_while_a_process_of_it_runs() -> None:
    """Its metrics and its administrator's password lie in files that are named by the group."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as running:
        assert group_lives(str(running.pid))
        assert running.stdin is not None
        running.stdin.write(b"\n")
        running.stdin.flush()
        # Ended, and not collected: it still takes signals.
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        os.killpg(running.pid, 0)
        assert not group_lives(str(running.pid))
    assert not group_lives(str(running.pid))


def test_what_is_not_known_lives() -> None:
    """Nothing is taken away by mistake."""
    assert group_lives("not a number")
    assert group_lives("1" * 40)
    assert group_lives(str(os.getpgrp()))
