"""The jobs of a decomposition: fully random draws, each again with one stream redrawn, and replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hpo.core.records import Job, Stage, Value
from hpo.seeds.derived import Purpose, derive_seed
from hpo.seeds.streams import STREAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """All jobs of a decomposition.

    Attributes:
        base: one job per draw, whose seed sets all streams that the study does not fix.
        redrawn: by source, one job per draw, which differs from it in that stream only.
        replays: the first draw's job again, unchanged.
    """

    base: tuple[Job, ...]
    redrawn: Mapping[str, tuple[Job, ...]]
    replays: tuple[Job, ...]

    @classmethod
    def of(
        cls,
        trial: int,
        params: Mapping[str, Value],
        *,
        seed: int,
        count: int,
        replays: int,
        sources: Sequence[str],
        budget: int,
        streams: Mapping[str, int],
        fold: int = 0,
    ) -> Draws:
        """Returns the jobs of one trial.

        Args:
            trial: number of the trial.
            params: params of the trial.
            seed: seed of all draws; the same seed gives the same jobs, and a larger count only adds jobs.
            count: number of base draws.
            replays: number of times that the first draw is trained again.
            sources: names of the streams that are redrawn, one at a time.
            budget: number of epochs of each job.
            streams: seeds of the streams that the study fixes.
            fold: number of the validation fold; 0: no cross-validation.
        """
        base = tuple(
            Job(
                trial=trial,
                params=params,
                seed=derive_seed(seed, Purpose.DRAW, number),
                budget=budget,
                fold=fold,
                stage=Stage.DECOMPOSITION,
                stream_seeds=streams,
            )
            for number in range(count)
        )
        redrawn = {
            source: tuple(
                replace(
                    job,
                    stream_seeds={**streams, source: derive_seed(seed, Purpose.DRAW, number, STREAMS[source])},
                    variant=source,
                )
                for number, job in enumerate(base)
            )
            for source in sources
        }
        return cls(base=base, redrawn=redrawn, replays=replayed(base[0], replays))

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, draw by draw, so that an interrupted decomposition has complete draws."""
        rows = [
            (job, *(self.redrawn[source][number] for source in self.redrawn)) for number, job in enumerate(self.base)
        ]
        return (*(job for row in rows for job in row), *self.replays)


def replayed(job: Job, count: int) -> tuple[Job, ...]:
    """Returns copies of a job, one for each time that it is to be trained again."""
    return tuple(replace(job, variant=f"replay-{number}") for number in range(1, count + 1))
