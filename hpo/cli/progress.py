"""Progress of trainings: a live table on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.cli.live import TrialGrid, lines_above
from hpo.cli.stopping import StopSignal
from hpo.cli.tables import describe_alert
from hpo.core.formatting import counted, duration, number, param, params, quantity
from hpo.core.protocols import Observer, Stop, Tell
from hpo.core.records import Alert, Evaluation, Job, Status
from hpo.study import Study, not_reproducible, notes
from hpo.study.space import Float

BAR = 24
"""Width of a bar in characters."""

RECENT = 6
"""Number of finished trials that stay in the table."""

MOST_FINAL = 20
"""Largest number of trials in the table that stays after a search."""

REAL = 8
"""Width of a real number: `1.23e-05`. A column has it from the beginning, so that the table does not jump."""

GridRow = tuple[list[str], Callable[[str], str]]
"""The texts of a row, and what gives the text of each param."""


@dataclass(slots=True)
class _Running:
    job: Job
    step: int = 0
    value: float | None = None
    alerts: int = 0


class Progress(Observer):
    """An observer that shows the state of every job.

    Args:
        study: the study whose trainings are shown.
        console: the console that writes to stderr.
        stop: whether the work is being ended.
        verb: what is done with trials that are known, e.g. `Promoting`; None: they are searched.
        verbose: whether every epoch gets a line.
    """

    def __init__(
        self, study: Study, console: Console, stop: Stop, *, verb: str | None = None, verbose: bool = False
    ) -> None:
        self._study = study
        self._stop = stop
        self._console = console
        self._verb = verb
        self._verbose = verbose
        several = study.search.seeding == "replicated" or study.validation is not None
        self._seeds = verb is not None or several  # a trial has more than one training
        self._wanted = 0
        self._done = 0
        self._began = time.monotonic()
        self._fresh = 0
        self._phase = ""
        self._share = (0, 0)
        self._running: dict[tuple[object, ...], _Running] = {}
        self._over: deque[Evaluation] = deque(maxlen=RECENT)
        self._ended_trials: list[Evaluation] = []
        widths = {name: REAL if isinstance(one, Float) else 0 for name, one in study.space.items()}
        value = study.objective.metric if study.objective.others else "value"
        self._grid = TrialGrid(["trial", *["seed"] * self._seeds, "state", value, "epoch"], widths)
        self._counts = dict.fromkeys(Status, 0)
        self._incumbent: Evaluation | None = None
        self._live: Live | None = None
        self._alerts: Counter[str] = Counter()

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Shows the table until the block ends; on a terminal that of a search then stays, with its trials."""
        if not self._console.is_terminal:
            yield self
            return
        if isinstance(self._stop, StopSignal):
            self._stop.is_shown = True
        live = Live(
            self,
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,  # lines_above does it: what Live puts there splits escape codes that come in pieces
            redirect_stderr=False,
        )
        try:
            with live as self._live, lines_above(self._console):
                yield self
        finally:
            if isinstance(self._stop, StopSignal):
                self._stop.is_shown = False
            if self._verb is None and self._ended_trials:
                self._console.print(self._final())

    def begins(self, total: int, done: int) -> None:
        self._wanted, self._done = total, done
        if self._verb is not None:
            self._console.print(self._head(self._verb), highlight=False, soft_wrap=True)

    def phase(self, message: str) -> None:
        self.advanced(message, 0, 0)

    def advanced(self, message: str, done: int, total: int) -> None:
        self._phase, self._share = going_on(message, total), (done, total)
        self._line(self._phase)

    def asked(self, job: Job) -> None:
        if not self._fresh and not self._running:
            self._began = time.monotonic()  # earlier phases do not count for the pace of trainings
        self._running[job.key] = _Running(job)

    def reported(self, job: Job, step: int, value: float) -> None:
        running = self._running[job.key]
        running.step, running.value, self._phase = step, value, ""
        if self._verbose:
            seed = f" seed {job.seed_text}" if self._seeds else ""
            said = f"trial {job.trial}{seed} epoch {step}/{job.budget} {number(value)}"
            self._console.print(said, highlight=False, markup=False, soft_wrap=True)

    def alerted(self, job: Job, alerts: Sequence[Alert]) -> None:
        self._running[job.key].alerts += len(alerts)
        self._warn(job, alerts)

    def recorded(self, evaluation: Evaluation) -> None:
        if not self._seeds:  # the replicates that were recorded are counted from the beginning
            self.told(evaluation)

    def told(self, evaluation: Evaluation) -> None:
        heard = self._running.pop(evaluation.job.key, None)
        self._over.appendleft(evaluation)
        if self._verb is None:
            self._ended_trials.append(replace(evaluation, reports=evaluation.reports[-1:]))
        self._done += 1
        self._fresh += 1
        self._counts[evaluation.status] += 1
        ranked = not self._seeds and not self._study.objective.others and evaluation.status is Status.COMPLETE
        value = evaluation.value if ranked else None
        if value is not None and self._is_feasible(evaluation):
            best = self._incumbent.value if self._incumbent else None
            if best is None or self._study.objective.is_better(value, best):
                self._incumbent = evaluation
        self._line(self._said(evaluation))
        for remark in evaluation.remarks:
            self._line(f"  trial {evaluation.job.trial}: {remark}")
        self._warn(evaluation.job, evaluation.alerts[heard.alerts if heard else 0 :])

    def _warn(self, job: Job, alerts: Sequence[Alert]) -> None:
        self._alerts.update(alert.kind for alert in alerts)
        seed = f" seed {job.seed_text}" if self._seeds else ""
        for alert in alerts:
            self._line(f"  trial {job.trial}{seed}: {describe_alert(alert)}")

    def _is_feasible(self, evaluation: Evaluation) -> bool:
        return all((evaluation.metrics.get(name) or 0.0) <= 0 for name in self._study.objective.constraints)

    def __rich__(self) -> RenderableType:
        """The current table."""
        shown = list(self._over)
        if self._incumbent is not None and self._incumbent not in shown:
            shown.append(self._incumbent)
        running = [
            self._row(one.job, "running", one.value, _bar(one.step, one.job.budget)) for one in self._running.values()
        ]
        table = self._grid.text([*running, *map(self._ended, shown)], self._console.width)
        summary = Text(self._summary(), overflow="fold")
        return Group(table, barred(summary, *self._share if self._phase else (0, 0)))

    def _ended(self, over: Evaluation) -> GridRow:
        step = over.reports[-1].step if over.reports else 0
        best = self._incumbent
        state = "incumbent" if best is not None and over.job is best.job else str(over.status)
        return self._row(over.job, state, over.value, f"{step}/{over.job.budget}")

    def _row(self, job: Job, state: str, value: float | None, steps: str) -> GridRow:
        seed = [job.seed_text] if self._seeds else []
        return [str(job.trial), *seed, state, number(value), steps], lambda name: param(job.params.get(name))

    def _final(self) -> RenderableType:
        """The trials of a search that has ended; the best ones, if there are many."""
        shown, objective = list(self._ended_trials), self._study.objective
        if len(shown) > MOST_FINAL:
            sign = -1.0 if objective.direction == "maximize" else 1.0
            complete = [one for one in shown if one.status is Status.COMPLETE and one.value is not None]
            shown = sorted(complete, key=lambda one: (sign * (one.value or 0.0), one.job.trial))[:MOST_FINAL]
        shown.sort(key=lambda one: one.job.trial)
        table = self._grid.text([*map(self._ended, shown)], self._console.width)
        best = "" if len(shown) == len(self._ended_trials) else f"the best {len(shown)} of {len(self._ended_trials)}; "
        return Group(table, Text(f"{best}all params: hpo trials --study {self._study.name}", style="dim"))

    def _summary(self) -> str:
        parts = [f"{self._done} of {self._wanted}"]
        parts += [", ".join(f"{count} {status}" for status, count in self._counts.items() if count)]
        if self._alerts:
            parts.append("alerts: " + ", ".join(f"{count} {kind}" for kind, count in self._alerts.most_common()))
        if self._stop.is_set():
            running = counted(len(self._running), "training")
            return " · ".join([*parts, f"stopping after this epoch of {running} (Ctrl-C again stops at once)"])
        if self._fresh:
            pace = (time.monotonic() - self._began) / self._fresh
            parts.append(f"about {duration(pace * (self._wanted - self._done))} left")
        return " · ".join(part for part in [*parts, self._phase] if part)

    def _said(self, evaluation: Evaluation) -> str:
        job = evaluation.job
        seed = f" seed {job.seed_text}" if self._seeds else ""
        step = evaluation.reports[-1].step if evaluation.reports else 0
        why = f"  {(evaluation.error or '').splitlines()[-1][:100]}" if evaluation.error else ""
        return (
            f"[{self._done}/{self._wanted}] trial {job.trial}{seed} {evaluation.status} {self._values(evaluation)} "
            f"epoch {step}/{job.budget}  {params(job.params)}{why}"
        )

    def _values(self, evaluation: Evaluation) -> str:
        vector = self._study.objective.vector(evaluation)
        return " ".join(map(quantity if len(vector) > 1 else number, vector)) if vector else number(evaluation.value)

    def _head(self, verb: str) -> str:
        each = counted(self._study.search.budget, "epoch")
        recorded = f", {self._done} recorded already" if self._done else ""
        return f"{verb}: {counted(self._wanted, 'training')} ({each} each{recorded})"

    def _line(self, text: str) -> None:
        if self._live is None:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def header(study: Study, storage: str, extent: str) -> str:
    """Returns the lines that describe the search that is about to start.

    Args:
        study: the study to be searched.
        storage: its database, without secrets.
        extent: how long the search is to be, e.g. `20 trials`.
    """
    search = study.search
    pruner = "no pruner" if search.pruner == "none" else f"{search.pruner} pruner"
    folds = f" · {study.validation}" if study.validation else ""
    from hpo import api

    reasons = [*not_reproducible((), study), *api.doubts(study)]
    sure = f"no ({'; '.join(reasons)})" if reasons else f"yes (lag {study.lag})"
    return "\n".join(
        [
            f"{study.name}   {study.objective} · {extent} · "
            f"{counted(search.budget, 'epoch')} · {study.search.seeds_text}{folds} · {search.sampler} + {pruner}",
            f"storage {storage}   reproducible: {sure}",
            *(f"note: {note.key}  {note.message}" for note in notes(study)),
        ]
    )


class Phases:
    """Shows the progress of one phase: a line that changes on a terminal, plain lines elsewhere.

    Args:
        console: the console that writes to stderr.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Tell:
        if self._console.is_terminal:
            self._live.start()
        return self._told

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def _told(self, message: str, done: int = 0, total: int = 0) -> None:
        words = going_on(message, total)
        if self._console.is_terminal:
            self._live.update(barred(Text(words), done, total))
        else:
            self._console.print(words, highlight=False, markup=False, soft_wrap=True)


def going_on(message: str, total: int) -> str:
    """Returns the message; without a count it ends in dots."""
    return message if total else f"{message} ..."


def barred(said: Text, done: int, total: int) -> RenderableType:
    """Returns the message with a bar before it, if there is a count."""
    if not total:
        return said
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=total, completed=done, width=BAR), said)
    return row


def _bar(step: int, budget: int) -> str:
    width = min(budget, 10)
    full = round(width * step / budget)
    return f"{'█' * full}{'░' * (width - full)} {step}/{budget}"
