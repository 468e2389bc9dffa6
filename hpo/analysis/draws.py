"""The jobs of a decomposition: draws with everything at random, each again with one stream drawn anew, and replays."""

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
        base: one for each draw; all streams follow from its seed, but for those that the study fixes.
        redrawn: by source, one for each draw: the same job but for that stream.
        replays: the first draw's job, to be trained again as it is.
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
            seed: of all draws: the same one gives the same jobs, and more of them begin with the fewer.
            count: number of base draws.
            replays: how often the first is trained again.
            sources: names of the streams that are drawn anew, one at a time.
            budget: epochs of each.
            streams: those that the study fixes.
            fold: that all of them are judged on; 0: there are none.
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
        """All of them, draw by draw, so that one that is cut off can be looked at."""
        rows = [
            (job, *(self.redrawn[source][number] for source in self.redrawn)) for number, job in enumerate(self.base)
        ]
        return (*(job for row in rows for job in row), *self.replays)


def replayed(job: Job, count: int) -> tuple[Job, ...]:
    """Returns a job as often as it is to be trained again."""
    return tuple(replace(job, variant=f"replay-{number}") for number in range(1, count + 1))
