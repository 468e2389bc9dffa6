"""A progress bar for notebooks. The only module that uses tqdm."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hpo.core.formatting import number
from hpo.core.protocols import Observer
from hpo.core.records import Evaluation, Job, Stage, Status
from hpo.study import Study

if TYPE_CHECKING:
    from hpo.driver.options import CommandOptions

BETWEEN = 0.5
"""Seconds between two reports of running trainings that are shown."""


def progress_bars(study: Study, options: CommandOptions) -> tuple[Observer, ...]:
    """Returns the progress bar that a command shows; by default one in a notebook, unless it has observers.

    Args:
        study: the study that the command is for.
        options: options of the command.
    """
    wanted = in_notebook() and not options.observers if options.progress is None else options.progress
    return (ProgressBar(study),) if wanted else ()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    get_ipython: Callable[[], object] | None = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and hasattr(get_ipython(), "kernel")


class ProgressBar(Observer):
    """Shows how many trainings are done, the best value so far, and what runs; failures get a line each.

    Args:
        study: the study whose trainings are shown.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._is_trial = study.search.seeding != "replicated" and study.validation is None
        self._best: Evaluation | None = None
        self._shown = 0.0
        self._bar: Any = None

    def begins(self, total: int, done: int) -> None:
        bar = self._opened()
        bar.reset(total=total)
        bar.initial = bar.n = bar.last_print_n = done
        self._best, self._shown = None, 0.0
        bar.refresh()

    def phase(self, message: str) -> None:
        self._opened().write(message)

    def advanced(self, message: str, done: int, total: int) -> None:
        if total:
            self._opened().set_postfix_str(f"{message} {done}/{total}")
        else:
            self.phase(message)

    def reported(self, job: Job, step: int, value: float) -> None:
        if self._bar is None or time.monotonic() - self._shown < BETWEEN:
            return
        self._shown = time.monotonic()
        self._bar.set_postfix_str(self._text(f"trial {job.trial} epoch {step}/{job.budget}: {number(value)}"))

    def recorded(self, evaluation: Evaluation) -> None:
        if self._is_trial and evaluation.job.stage is Stage.SEARCH:  # others were counted from the beginning
            self.told(evaluation)

    def told(self, evaluation: Evaluation) -> None:
        job, bar = evaluation.job, self._opened()
        if evaluation.status is Status.FAILED:
            bar.write(f"trial {job.trial} seed {job.seed_text} failed: {_last_line(evaluation.error)}")
        elif evaluation.status is Status.COMPLETE and self._is_better(evaluation):
            self._best = evaluation
        said = evaluation.status if evaluation.status is not Status.COMPLETE else number(evaluation.value)
        seed = "" if job.stage is Stage.SEARCH and self._is_trial else f" seed {job.seed_text}"
        bar.set_postfix_str(self._text(f"trial {job.trial}{seed}: {said}"), refresh=False)
        bar.update(1)

    def ended(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _opened(self) -> Any:
        if self._bar is None:
            self._bar = _bar_class()(desc=self._study.name, unit=" trainings", miniters=1, mininterval=0.1)
        return self._bar

    def _is_better(self, evaluation: Evaluation) -> bool:
        """Whether a trial of the search is the best one so far; elsewhere no single training decides anything."""
        objective = self._study.objective
        if not self._is_trial or objective.others or evaluation.job.stage is not Stage.SEARCH:
            return False
        if evaluation.value is None or any((evaluation.metrics.get(name) or 0.0) > 0 for name in objective.constraints):
            return False
        best = None if self._best is None else self._best.value
        return best is None or objective.is_better(evaluation.value, best)

    def _text(self, said: str) -> str:
        best = self._best
        return said if best is None else f"{said} · best: trial {best.job.trial}, {number(best.value)}"


def _last_line(error: str | None) -> str:
    lines: Sequence[str] = (error or "").strip().splitlines()
    return lines[-1] if lines else "it gave no reason"


def _bar_class() -> Any:
    """Returns tqdm's bar for where this process runs, without its monitoring thread."""
    with warnings.catch_warnings(action="ignore"):  # without ipywidgets the bar is plain text
        from tqdm.auto import tqdm

    return type("Bar", (tqdm,), {"monitor_interval": 0})
