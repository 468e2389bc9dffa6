"""Advances one training step by step. Both backends do it through this, so that they give equal evaluations."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from hpo.alerts import Alert
from hpo.errors import HpoError
from hpo.records import Job, Metrics, Report, Status
from hpo.seam import Packet, Resources, TrainableRef
from hpo.training.context import Context, Paused
from hpo.training.process import device_for, fingerprint, prepared
from hpo.training.shelf import shelf
from hpo.training.trainable import load

_END = object()  # not None, which a trainable may yield by mistake


class Training:
    """One job being trained: a generator that is advanced, and closed when nobody wants more of it.

    A fault of the trainable never raises here: it ends the training with a failed packet, and the process lives on.

    Args:
        job: what to train.
        trainable: with what.
        resources: cores and graphics cards.
        work: the study's folder, or its URL; the job's own is `job.place` below it.
    """

    def __init__(self, job: Job, trainable: TrainableRef, resources: Resources, work: str | Path) -> None:
        self._shelf, self._place = shelf(work), job.place
        self._threads = max(1, resources.cpu)
        self._device = device_for(resources.gpu)
        folder, fault = self._opened()
        self._context = Context(
            job,
            trainable.objective,
            folder=folder,
            cache=self._shelf.cache,
            device=self._device,
            threads=self._threads,
            folds=trainable.folds if job.fold else 0,
            events=resources.events,
            saved=lambda: self._shelf.save(job.place),
        )
        self._stack = ExitStack()
        self._generator: Iterator[Metrics] | None = None
        self._events = resources.events
        self._sent = 0
        self._fault = fault
        if fault is not None:
            return
        try:
            loaded = load(trainable)
            self._stack.enter_context(prepared(self._threads))
            self._context.begin()
            self._context.streams.init.seed_global()  # a trainable that forgets to is reproducible all the same
            self._generator = loaded.start({**trainable.fixed, **job.params}, self._context)
            shown = " ".join(f"{name}={value}" for name, value in job.params.items())
            self._context.log(f"trial {job.trial} seed {job.seed} budget {job.budget} {self._device} {shown}")
        except (Exception, SystemExit) as error:  # whatever user code raises is that job's failure, not the worker's
            self._fail(error)

    def advance(self, seconds: float = 0.0) -> Packet:
        """Trains at least one step, then more until `seconds` have passed, and returns what is new."""
        end = time.monotonic() + seconds
        done = False
        try:
            while self._fault is None and self._generator is not None:
                metrics = next(self._generator, _END)
                if metrics is _END:
                    self._context.refuse_broken_loop()
                    self._context.refuse_unused_folds()
                    done = True
                    break
                self._context.add(metrics)
                if time.monotonic() >= end:
                    break
        except (Exception, SystemExit) as error:  # see above
            self._fail(error)
        return self._packet(done)

    def pause(self) -> Packet:
        """Returns what is new once the training stands between two epochs with its checkpoint written.

        The packet says `paused`, or how the training ended if nothing was left of it to do. A training that is not in a
        loop over `ctx.epochs` has nothing that could be saved, and is begun anew next time.
        """
        if not self._context.in_loop:
            return Packet(paused=True)
        self._context.pausing = True
        try:
            return self.advance()
        except Paused:
            return Packet(reports=self._fresh(), paused=True)

    def close(self) -> None:
        """Ends the generator where it stands (its `finally` blocks run) and gives the process back as it was.

        The checkpoint stays; whoever knows that the job is over and recorded discards it.
        """
        generator, self._generator = self._generator, None
        try:
            if generator is not None and hasattr(generator, "close"):
                generator.close()
        except Exception as error:  # a fault in a `finally` block comes too late to change the outcome
            self._context.log(f"while closing: {type(error).__name__}: {error}")
        finally:
            self._context.close()
            self._stack.close()
            self._shelf.close(self._place)

    def _opened(self) -> tuple[Path, str | None]:
        try:
            return self._shelf.open(self._place), None
        except OSError as error:
            return self._shelf.scratch / self._place, f"the work folder cannot be read: {error}"

    def _packet(self, done: bool) -> Packet:
        fresh = self._fresh()
        if not done and self._fault is None:
            return Packet(reports=fresh)
        self._context.log("failed" if self._fault else f"complete in {self._context.seconds:.1f} s")
        self._context.close(complete=done)
        files = self._kept()
        outcome = {
            "seconds": self._context.seconds,
            "digests": dict(self._context.digests),
            "fingerprint": fingerprint(self._device, self._threads, self._context.facts),
            "files": files,
            "remarks": tuple(self._context.remarks),
            **({"last_alerts": alerts} if (alerts := self._last_alerts()) else {}),
        }
        status = Status.FAILED if self._fault else Status.COMPLETE
        return Packet(reports=fresh, status=status, error=self._fault, outcome=outcome)

    def _last_alerts(self) -> tuple[Alert, ...]:
        return self._context.last_alerts() if self._fault is not None and self._generator is not None else ()

    def _kept(self) -> str | None:
        if not self._context.keeps and not self._events:
            return None
        try:
            folder = self._shelf.keep(self._place)
        except OSError as error:
            self._fault = self._fault or f"what it made cannot be kept: {error}"
            return None
        return folder if self._context.keeps else None

    def _fresh(self) -> tuple[Report, ...]:
        fresh = tuple(self._context.reports[self._sent :])
        self._sent = len(self._context.reports)
        return fresh

    def _fail(self, error: BaseException) -> None:
        # Our own sentences say what is wrong; a traceback, and its part in this package, would only hide it.
        inner = error.__traceback__.tb_next if error.__traceback__ else None
        told = "".join(traceback.format_exception(type(error), error, inner, limit=-5)).strip()
        self._fault = str(error) if isinstance(error, HpoError) else told


def discard_checkpoint(work: str | Path, job: Job) -> None:
    """Deletes the checkpoints of a job that is over and recorded, and the job's folder if nothing else is in it."""
    shelf(work).discard(job.place)
