"""The board of components: each is asked in a thread within its own deadline, and its answer kept for some seconds.

A component that hangs keeps its thread, and is not asked again until that thread is back: probes can pile up neither
threads nor connections.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mlflow_backend_server.health.states import Away, Component, Finding, State, healthy

if TYPE_CHECKING:
    from collections.abc import Callable

#: Below the 2 s that the whole answer may take, with room for a busy machine.
DEADLINE_S = 1.2
KEPT_S = 5.0


class Board:
    """The latest findings about a server's components."""

    def __init__(self, components: tuple[Component, ...], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know the components; nothing is asked yet."""
        self.components, self._clock = components, clock
        self._findings: dict[str, Finding] = {}
        self._asked_at: float | None = None
        self._looking = threading.Lock()
        self._questions: dict[str, _Question] = {}

    def look(self) -> tuple[dict[str, Finding], bool]:
        """Return a finding a component, not older than KEPT_S, and whether all that are used are ok.

        Callers at the same time wait for one round of questions.
        """
        with self._looking:
            if self._asked_at is None or self._clock() - self._asked_at >= KEPT_S:
                self._findings = self._ask_all()
                self._asked_at = self._clock()
            return self._findings, healthy(self._findings, self.components)

    def _ask_all(self) -> dict[str, Finding]:
        for component in self.components:
            running = self._questions.get(component.name)
            if component.used and (running is None or running.done.is_set()):
                self._questions[component.name] = _Question(component)
        deadline = time.monotonic() + DEADLINE_S
        return {component.name: self._finding(component, deadline) for component in self.components}

    def _finding(self, component: Component, deadline: float) -> Finding:
        if not component.used:
            return Finding(state=State.OFF, sentence="Not used by this server.")
        question = self._questions[component.name]
        if question.done.wait(max(0.0, deadline - time.monotonic())) and question.finding is not None:
            return question.finding
        hung = time.monotonic() - question.started
        sentence = f"No answer for {hung:.1f} s."
        return Finding(state=State.FAILED, sentence=sentence, ms=hung * 1000)


class _Question:
    """One question to one component, asked in a daemon thread."""

    def __init__(self, component: Component) -> None:
        self.started, self.done = time.monotonic(), threading.Event()
        self.finding: Finding | None = None
        self._component = component
        threading.Thread(target=self._ask, name=f"health-{component.name}", daemon=True).start()

    def _ask(self) -> None:
        try:
            state, sentence = State.OK, self._component.ask()
        except Away as away:
            state, sentence = State.FAILED, str(away)
        except Exception as error:  # noqa: BLE001 - a library's own words could hold an address with a password
            state, sentence = State.FAILED, f"It failed with {type(error).__name__}."
        ms = (time.monotonic() - self.started) * 1000
        self.finding = Finding(state=state, sentence=sentence, ms=ms)
        self.done.set()
