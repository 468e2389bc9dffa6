"""Observers that log to another tool: the base class, and how they are made. It imports none of the tools."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from queue import SimpleQueue

from hpo.core.errors import UsageError
from hpo.core.protocols import Observer
from hpo.core.records import Evaluation
from hpo.core.redaction import known_secrets, redacted
from hpo.core.texts import cleaned

PATIENCE = 60.0
"""Seconds without progress after which a command no longer waits for a tool."""

LONGEST = 4000
"""Maximum characters of a failure's reason; MLflow accepts 8000 bytes."""


class ToolObserver(Observer, ABC):
    """Logs evaluations and promotions to another tool, in a thread of its own.

    The driver never waits for the tool, except at the end of a command. A tool that fails or does not answer is
    reported once on stderr and not used again; the study continues.

    Args:
        study: name of the study.
        patience: seconds without progress after which the end of a command no longer waits for the tool.
    """

    tool = ""

    def __init__(self, study: str, *, patience: float = PATIENCE) -> None:
        self.study = study
        self.patience = patience
        self._entries: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._given_up = False

    @abstractmethod
    def log(self, evaluation: Evaluation, *, trained: bool) -> None:
        """Logs an evaluation as one run.

        Args:
            evaluation: the evaluation of a job that ended.
            trained: whether it was trained just now; if not, it may have been logged earlier.
        """

    @abstractmethod
    def log_promotion(self, report: Mapping[str, object]) -> None:
        """Logs the summary of a promotion as one run, unless the same summary was logged earlier.

        Args:
            report: plain values of `PromotionReport.plain()`.
        """

    @abstractmethod
    def is_logged(self, evaluation: Evaluation) -> bool:
        """Whether the tool had a finished run of this job when it was asked first."""

    def opened(self, finished: Callable[[], Sequence[Evaluation]]) -> None:
        for evaluation in finished():  # a driver that was killed may have stored more than it logged
            self._put(partial(self._log_if_missing, evaluation))

    def told(self, evaluation: Evaluation) -> None:
        self._put(lambda: self.log(evaluation, trained=True))

    def recorded(self, evaluation: Evaluation) -> None:
        self._put(lambda: self.log(evaluation, trained=False))

    def promoted(self, report: Mapping[str, object]) -> None:
        self._put(lambda: self.log_promotion(report))

    def ended(self) -> None:
        if self._thread is None:
            return
        self._entries.put(None)
        left = self._entries.qsize()
        self._thread.join(min(self.patience, 5.0))
        if self._thread.is_alive() and not self._given_up:
            self._say("waiting until everything is logged")
        while self._thread.is_alive() and not self._given_up:
            self._thread.join(self.patience)
            if self._thread.is_alive() and self._entries.qsize() == left:
                self._give_up(f"it did not answer for {self.patience:g} s")
            left = self._entries.qsize()
        self._thread, self._entries = None, SimpleQueue()

    def _log_if_missing(self, evaluation: Evaluation) -> None:
        if not self.is_logged(evaluation):
            self.log(evaluation, trained=False)

    def _put(self, entry: Callable[[], None]) -> None:
        if self._given_up:
            return
        if self._thread is None:
            name = f"hpo logs to {self.tool}"
            self._thread = threading.Thread(target=self._work, args=(self._entries,), name=name, daemon=True)
            self._thread.start()
        self._entries.put(entry)

    def _work(self, entries: SimpleQueue[Callable[[], None] | None]) -> None:
        while (entry := entries.get()) is not None and not self._given_up:
            try:
                entry()
            except Exception as error:  # each tool, and what it is built on, has its own classes
                lines = str(error).strip().splitlines() or [""]
                self._give_up(redacted(f"{type(error).__name__}: {lines[0]}"[:300], known_secrets()))

    def _give_up(self, reason: str) -> None:
        if not self._given_up:
            self._given_up = True
            self._say(
                f"logging failed and has ended ({reason}); the study continues, and hpo's own records are complete"
            )

    def _say(self, message: str) -> None:
        sys.stderr.write(f"{self.tool}: {message}\n")


def fields_of(evaluation: Evaluation) -> dict[str, str | int]:
    """Returns what an evaluation is of, and how it ended: stage, trial, seed, fold, budget, variant, status, error."""
    job = evaluation.job
    found: dict[str, str | int] = {"stage": str(job.stage), "trial": job.trial, "seed": job.seed, "fold": job.fold}
    found |= {"budget": job.budget, "status": str(evaluation.status)}
    if job.variant:
        found["variant"] = job.variant
    if evaluation.error:
        found["error"] = text_of(evaluation.error)
    return found


def params_of(evaluation: Evaluation) -> dict[str, object]:
    """Returns the params of an evaluation with the defaults of the params that the study does not set, no secrets."""
    params = {**evaluation.defaults, **evaluation.job.params}
    return {name: text_of(value) if isinstance(value, str) else value for name, value in params.items()}


def metrics_of(evaluation: Evaluation) -> list[tuple[int, float, dict[str, float]]]:
    """Returns step, Unix time and metrics of each report; undefined metrics are left out."""
    return [
        (one.step, one.at, {name: value for name, value in one.metrics.items() if value is not None})
        for one in evaluation.reports
    ]


def summary_of(report: Mapping[str, object]) -> tuple[dict[str, object], dict[str, float]]:
    """Returns how a promotion ranked and whom it chose, and the winner's numbers: score, mean, sigma, each seed's.

    Args:
        report: plain values of `PromotionReport.plain()`.
    """
    described = {name: report[name] for name in ("winner", "objective", "direction", "rule", "lambda", "ddof", "seeds")}
    row = next((row for row in rows_of(report) if row["trial"] == report["winner"]), {})
    if "objectives" in report:
        own = {name: float(one) for name, one in row.items() if isinstance(one, int | float) and name != "trial"}
        return described | {"preference": report["preference"]}, own
    seeds = [name for name in row if name.startswith("seed_")]
    numbers = {name: row.get(name) for name in ("score", "mean", "sigma", *seeds)}
    return described, {name: value for name, value in numbers.items() if isinstance(value, int | float)}


def rows_of(report: Mapping[str, object]) -> list[dict[str, object]]:
    """Returns the ranking: a row for each candidate."""
    rows = report["candidates"]
    assert isinstance(rows, list)  # `PromotionReport.plain()` gives one
    return rows


def text_of(text: str) -> str:
    """Returns a text without secrets and control characters, not too long for a tool."""
    return cleaned(redacted(text, known_secrets()), LONGEST)


def tool_observers(names: Sequence[str], study: str) -> tuple[Observer, ...]:
    """Returns an observer for each tool; the tool is imported now.

    Args:
        names: names of the tools, some of `tool_names.TOOLS`.
        study: name of the study.

    Raises:
        UsageError: if a tool is not installed; the message says how to install it.
    """
    made = []
    for name in dict.fromkeys(names):
        try:
            module = import_module(f"hpo.integrations.{name}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != name:
                raise
            from hpo.core.installed import install_line  # here, because every command imports the options

            raise UsageError(f"logging to {name} needs the package {name}: {install_line(name)}") from error
        made.append(module.observer(study))
    return tuple(made)
