"""Show how far a stage of work is: a live display on a terminal, one plain line per step elsewhere.

Goes to the console it is given, which the commands open on stderr. The remaining time comes from measured durations
only (remaining.py); before the first step ended there is none, and none is shown.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from orchestrator.report import figures
from orchestrator.report.remaining import Step, remaining_s

Clock = Callable[[], float]


class Stage(ABC):
    """The steps of one stage, told by one thread: `begin` and `end` each, or `complete` where they run side by side."""

    def __init__(self, title: str, steps: Sequence[Step], clock: Clock, took_s: Sequence[float]) -> None:
        self.title = title
        self.steps = tuple(steps)
        self._clock = clock
        self._took_s = list(took_s)
        self._began_s: float | None = None

    def begin(self) -> None:
        """The next step starts."""
        if self.ended == len(self.steps):
            raise RuntimeError(f"{self.title}: all {self.ended} steps have ended")
        self._began_s = self._clock()
        self._show_begin(self.steps[self.ended])

    def end(self, note: str = "") -> None:
        """The step that was begun is over. note: what came of it, such as a void reason."""
        if self._began_s is None:
            raise RuntimeError(f"{self.title}: a step ended that was never begun")
        step = self.steps[self.ended]
        self._took_s.append(self._clock() - self._began_s)
        self._began_s = None
        self._show_end(step, self._took_s[-1], note)

    def complete(self, name: str, took_s: float, note: str = "") -> None:
        """A step that ran beside others is over; steps of such a stage come to an end in any order. note: as in end."""
        waiting = list(self.steps[self.ended :])
        step = next(s for s in waiting if s.name == name)
        waiting.remove(step)
        self.steps = (*self.steps[: self.ended], step, *waiting)
        self._took_s.append(took_s)
        self._show_end(step, took_s, note)

    def remaining_s(self) -> float | None:
        """Seconds until the stage is over, or None while nothing is measured."""
        current_s = 0.0 if self._began_s is None else self._clock() - self._began_s
        return remaining_s(self.steps, self._took_s, current_s)

    @property
    def ended(self) -> int:
        return len(self._took_s)

    @abstractmethod
    def _show_begin(self, step: Step) -> None:
        """Show that a step begins."""

    @abstractmethod
    def _show_end(self, step: Step, took_s: float, note: str) -> None:
        """Show that a step is over."""


class Progress:
    """Shows stages, one after another."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock

    @contextmanager
    def stage(self, title: str, steps: Sequence[Step], took_s: Sequence[float] = ()) -> Iterator[Stage]:
        """Show a stage while the block runs; it is left as it stands when the block raises.

        took_s: what the first steps took, where an earlier process ended them already.
        """
        if not self._console.is_terminal:
            yield _PlainStage(title, steps, self._clock, took_s, self._console)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        live = _LiveStage(title, steps, self._clock, took_s)
        with RichProgress(*columns, _RemainingColumn(live), console=self._console, transient=False) as display:
            live.attach(display)
            yield live

    def say(self, text: str) -> None:
        """Print one line between stages."""
        self._console.print(Text(text), soft_wrap=True)


class _PlainStage(Stage):
    def __init__(
        self, title: str, steps: Sequence[Step], clock: Clock, took_s: Sequence[float], console: Console
    ) -> None:
        super().__init__(title, steps, clock, took_s)
        self._console = console

    def _show_begin(self, step: Step) -> None:
        left_s = self.remaining_s()
        ahead = "" if left_s is None else f" (about {figures.long_duration(left_s)} left)"
        self._line(f"{self.title} {self.ended + 1}/{len(self.steps)}: {step.name}{ahead}")

    def _show_end(self, step: Step, took_s: float, note: str) -> None:
        outcome = f", {note}" if note else ""
        self._line(f"{self.title} {self.ended}/{len(self.steps)}: {step.name} took {took_s:.1f} s{outcome}")

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class _LiveStage(Stage):
    def __init__(self, title: str, steps: Sequence[Step], clock: Clock, took_s: Sequence[float]) -> None:
        super().__init__(title, steps, clock, took_s)
        self._display: RichProgress | None = None

    def attach(self, display: RichProgress) -> None:
        self._display = display
        self._task = display.add_task(self.title, total=len(self.steps), completed=self.ended)

    def _show_begin(self, step: Step) -> None:
        self._describe(f"{self.title}: {step.name}")

    def _show_end(self, step: Step, took_s: float, note: str) -> None:
        if self._display is None:
            return
        if note:  # an outcome worth words stays above the bar
            self._display.console.print(Text(f"{step.name}: {note}"))
        description = f"{self.title}: {step.name}" if self.ended < len(self.steps) else self.title
        self._display.update(self._task, advance=1, description=description)

    def _describe(self, description: str) -> None:
        if self._display is not None:
            self._display.update(self._task, description=description)


class _RemainingColumn(ProgressColumn):
    """Our own estimate; rich's assumes that steps take alike."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        super().__init__()

    def render(self, task: Task) -> Text:
        left_s = self._stage.remaining_s()
        if left_s is None or task.finished:
            return Text("")
        return Text(f"about {figures.long_duration(left_s)} left", style="cyan")
