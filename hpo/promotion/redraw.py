"""A trial trained under draws of its sources of randomness, one drawn anew at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo.promotion.grid import PromotionSource
from hpo.records import Evaluation, Job, Stage, Status, Value
from hpo.seeding import STREAMS, redraw_seed

SURE = 2
"""Draws after which a source that changed no bit is not drawn any more: the trainable does not use it."""


class RedrawSource(PromotionSource):
    """Hands out, for each draw, a training with all sources drawn and one for each source with that one drawn anew.

    A source that changes no bit in the first draws is left out of the others.

    Args:
        trial: number of the configuration.
        params: its params.
        budget: epochs of each training.
        sources: streams that are drawn.
        draws: how many times.
        seed: of all draws.
        fixed: seeds of the other streams.
    """

    def __init__(
        self,
        trial: int,
        params: Mapping[str, Value],
        budget: int,
        sources: Sequence[str],
        draws: int,
        seed: int,
        fixed: Mapping[str, int],
    ) -> None:
        super().__init__([])
        self.sources, self.draws = tuple(sources), draws
        self.rows: dict[tuple[int, str | None], Job] = {}
        for draw in range(draws):
            base = {**fixed, **{source: redraw_seed(seed, 2 * draw, STREAMS[source]) for source in sources}}
            for source in (None, *sources):
                streams = dict(base)
                if source is not None:
                    streams[source] = redraw_seed(seed, 2 * draw + 1, STREAMS[source])
                self.rows[draw, source] = Job(
                    trial=trial,
                    params=params,
                    seed=redraw_seed(seed, draw, 1000 + (STREAMS[source] if source else 0)),
                    budget=budget,
                    stage=Stage.DECOMPOSITION,
                    streams=streams,
                )
        self.jobs = tuple(self.rows.values())
        self._given = 0

    def unused(self) -> tuple[str, ...]:
        """Returns the sources that changed no bit, as far as is known now."""
        return tuple(source for source in self.sources if all(self._same(draw, source) for draw in range(SURE)))

    def result(self, draw: int, source: str | None) -> Evaluation | None:
        """Returns what came of one training; of a source that is not used, what came of the draw itself."""
        job = self.rows[draw, source]
        found = self.evaluations.get((job.trial, job.seed))
        if found is None and source is not None and draw >= SURE and source in self.unused():
            return self.result(draw, None)
        return found

    def _refill(self) -> None:
        if self._running or self._given >= self.draws:
            return
        first = self._given == 0
        until = min(SURE, self.draws) if first else self.draws
        unused = () if first else self.unused()
        self._waiting.extend(
            job
            for (draw, source), job in self.rows.items()
            if self._given <= draw < until and (source is None or source not in unused)
        )
        self._given = until

    def _same(self, draw: int, source: str) -> bool:
        jobs = self.rows[draw, None], self.rows[draw, source]
        one, other = (self.evaluations.get((job.trial, job.seed)) for job in jobs)
        if one is None or other is None or Status.FAILED in (one.status, other.status):
            return False
        return one.digests == other.digests and [r.metrics for r in one.reports] == [r.metrics for r in other.reports]


class Replays(PromotionSource):
    """One job, several times; what came of each, in the order of the jobs, is in `told`."""

    @property
    def told(self) -> list[Evaluation | None]:
        """What came of each, None where nothing has yet."""
        return [self._told.get(job.repeat) for job in self.jobs]

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__(jobs)
        self._told: dict[int, Evaluation] = {}

    def tell(self, evaluation: Evaluation) -> None:
        super().tell(evaluation)
        self._told[evaluation.job.repeat] = evaluation
