"""Result of a decomposition: the effect of each source of randomness, and what can be concluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.analysis.draws import Draws
from hpo.analysis.replay import Replays, replays_values
from hpo.core.errors import UsageError
from hpo.core.formatting import counted
from hpo.core.shown import Page, Shown
from hpo.figures.report import effects_figure
from hpo.seeds.streams import STREAMS
from hpo.stats.variance import Effect, Effects
from hpo.study import Study

if TYPE_CHECKING:
    from hpo.figures.report import Figure

LOUD = 0.5
"""Share of the seeds' sd above which differences between replays should be investigated first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """One source of randomness.

    Attributes:
        source: name of the stream.
        effect: effect of redrawing it; None if fewer than two pairs completed.
        pairs: number of draws that completed both with and without it.
        identical: number of pairs whose weights, predictions and history are bit-identical.
    """

    source: str
    effect: Effect | None
    pairs: int
    identical: int

    @property
    def is_unused(self) -> bool:
        """Whether the trainable never draws from this stream: every pair is identical."""
        return self.pairs > 0 and self.identical == self.pairs


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Decomposition(Shown):
    """Result of a decomposition.

    Attributes:
        study: the study that the trial belongs to.
        trial: number of the trial.
        metric: metric whose values were decomposed.
        draws: the jobs that were trained for it.
        values: value of the metric by job key; None if it is undefined or the training failed.
        effects: effects of all sources; None if fewer than two draws completed.
        lines: one line per source, the largest effect first.
        replays: comparison of the first draw with its replays; None if there are none.
        failures: errors of the failed trainings.
        trained: number of trainings done now; the others were recorded.
        stopped: whether it was stopped early; then nothing was estimated or written.
        seed_is_ignored: whether all base draws are bit-identical.
        collapsed: evidence for each base draw whose model learned nothing.
        most_alike: number of base draws with the most frequent value that are not bit-identical.
        files: paths of the files that were written.
    """

    study: Study
    trial: int
    metric: str
    draws: Draws
    values: Mapping[tuple[object, ...], float | None]
    effects: Effects | None
    lines: tuple[SourceLine, ...]
    replays: Replays | None
    failures: tuple[str, ...]
    trained: int
    stopped: bool
    seed_is_ignored: bool = False
    collapsed: tuple[str, ...] = ()
    most_alike: int = 1
    files: tuple[Path, ...] = ()

    @property
    def fixed(self) -> dict[str, int]:
        """Seeds of the streams that the study fixes, which are the same in every draw."""
        return dict(self.study.streams)

    @property
    def says_something(self) -> bool:
        """Whether enough draws completed to estimate anything."""
        return self.effects is not None

    @property
    def sum_text(self) -> str | None:
        """The sum of the shares, as a sentence; None if fewer than two sources have an effect."""
        found = self.effects
        if found is None or found.total is None or sum(effect.sd > 0 for effect in found.effects) < 2:
            return None
        above = any((effect.share or 0.0) > 1 for effect in found.effects)
        chance = f" One above 1 is chance: the sd of all sources is known from {found.count} draws." if above else ""
        if found.interact:
            return f"Total effects add to {found.total:.2f}: sources interact, shares are not additive.{chance}"
        return (
            f"Total effects add to {found.total:.2f}, which {found.count} draws do not tell from 1: whether sources "
            f"interact is open, so do not add shares.{chance}"
        )

    @property
    def mostly_collapsed(self) -> bool:
        """Whether too many base draws learned nothing for a conclusion about the others."""
        return self.effects is not None and 2 * len(self.collapsed) >= self.effects.count

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings to read before the lines, as sentences."""
        found, lines = self.effects, []
        if found is None:
            return ()
        if self.seed_is_ignored:
            lines.append(f"The seed is ignored: all {found.count} draws are bit-identical.")
        if self.collapsed:
            lines.append(
                f"{len(self.collapsed)} of {found.count} draws collapsed ({self.collapsed[0]}): the lines show partly "
                "or only whether a training collapses, not how well it does."
            )
        elif found.count > 2 and 2 * self.most_alike > found.count and not self.seed_is_ignored:
            lines.append(
                f"{self.most_alike} of {found.count} draws gave exactly the same {self.metric}, though they differ: it "
                "is too coarse to tell them apart, or the model says the same of every case."
            )
        if unused := [line.source for line in self.lines if line.is_unused and not self.seed_is_ignored]:
            lines.append(
                f"Not used: {', '.join(unused)}. Drawing it anew changes no bit, so the trainable takes nothing from "
                "that stream. What it draws from the process-wide generators instead (a DataLoader that shuffles "
                "without generator=, nn.Dropout) is seeded from init before the first epoch and from dropout in each, "
                "and counts there."
            )
        return tuple(lines)

    @property
    def advice(self) -> str:
        """What to do, as a sentence."""
        found = self.effects
        if found is None:
            return "Fewer than two draws completed, so nothing can be estimated."
        if self.seed_is_ignored:
            return (
                "Nothing can be decomposed: the trainable sets a seed of its own, such as torch.manual_seed(0), or "
                "nothing in it is random. Take randomness from ctx.streams."
            )
        if self.mostly_collapsed:
            return "Draw no conclusion from these lines: find params with which it trains, and decompose those."
        if self.replays is not None and self.replays.sd > 0 and self.replays.sd >= LOUD * found.sd:
            return (
                "Training the same job again moves this result about as much as other seeds do: make it deterministic "
                f"first, and look at it with hpo seeds replay --study {self.study.name} --trial {self.trial}."
            )
        if not any(effect.sd > 0 for effect in found.effects):
            if found.sd == 0:
                return f"Nothing random moves {self.metric}, though trainings differ: decompose another --metric too."
            if {line.source for line in self.lines} | set(self.fixed) == set(STREAMS):
                return (
                    "No stream moves this result, but seeds do: the trainable takes its randomness from ctx.seed "
                    "itself. Take it from ctx.streams to tell the sources apart."
                )
            return "None of these sources moves this result, but seeds do: redraw the others too."
        largest = found.effects[0].source
        if len(found.effects) == 1:
            return f"Only {largest} was redrawn: decompose all sources to compare it with the others."
        if found.leader is None:
            return (
                f"No source is ahead beyond chance at n = {found.count}: average over whole seeds, which redraw all of "
                f"them, or tell them apart with --n {2 * found.count}."
            )
        if found.leader == "split":
            return "The split moves this result more than any other source: add folds before adding seeds."
        return f"What {found.leader} draws moves this result more than any other source: average over more seeds."

    def rows(self) -> list[dict[str, object]]:
        """Returns one row of plain values per source, one for all sources, and one for the replays."""
        rows = [_row(line) for line in self.lines]
        if self.effects is not None:
            rows.append({"source": "all", "sd": self.effects.sd, "pairs": self.effects.count})
        if self.replays is not None:
            found = self.replays
            rows.append({"source": "replay", "sd": found.sd, "pairs": found.others, "identical": found.identical})
        return rows

    def plain(self) -> dict[str, object]:
        """Returns everything as plain values."""
        found = self.effects
        return {
            "study": self.study.name,
            "trial": self.trial,
            "metric": self.metric,
            "params": dict(self.draws.base[0].params),
            "budget": self.draws.base[0].budget,
            "n": len(self.draws.base),
            "seed": self.study.search.seed,
            "trainings": len(self.draws.jobs),
            "trained": self.trained,
            "stopped": self.stopped,
            "failures": list(self.failures),
            "mean": found.mean if found else None,
            "sd": found.sd if found else None,
            "sources": [_row(line) for line in self.lines],
            "fixed": self.fixed,
            "sum_of_total_effects": found.total if found else None,
            "interact": found.interact if found else None,
            "leader": found.leader if found else None,
            "replays": replays_values(self.replays),
            "warnings": list(self.warnings),
            "seed_is_ignored": self.seed_is_ignored,
            "collapsed": list(self.collapsed),
            "unused": [line.source for line in self.lines if line.is_unused],
            "advice": self.advice,
            "draws": [self._draw(number) for number in range(len(self.draws.base))],
        }

    def _draw(self, number: int) -> dict[str, object]:
        base, redrawn = self.draws.base[number], self.draws.redrawn
        return {
            "seed": base.seed,
            "value": self.values.get(base.key),
            "redrawn": {
                source: {"seed": jobs[number].stream_seeds[source], "value": self.values.get(jobs[number].key)}
                for source, jobs in redrawn.items()
            },
        }

    def figure(self) -> Figure:
        """Returns the sources' shares as a plotly figure.

        Raises:
            UsageError: if too few draws completed to say anything.
        """
        if self.effects is None:
            raise UsageError(self.advice)
        notes = {
            line.source: "not used: identical" if line.is_unused else "no difference in this metric"
            for line in self.lines
            if line.effect is not None and line.effect.sd == 0
        }
        if self.replays is not None:
            found = self.replays
            same = "bit-identical" if found.are_identical else f"sd {found.sd:.3g}, bit-identical"
            notes["replay"] = f"{same} {found.identical} of {found.others}"
        return effects_figure(
            self.effects,
            title=f"{self.study.name}, trial {self.trial}: what affects {self.metric}",
            metric=self.study.objective.label(self.metric),
            notes=notes,
        )

    def _headline(self) -> str:
        trainings = counted(len(self.draws.jobs), "training")
        return f"{self.study.name}, trial {self.trial}: {self.metric}, {trainings}"

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.analysis.shown import decomposition_text

        return decomposition_text(self)


def _row(line: SourceLine) -> dict[str, object]:
    effect = line.effect
    low, high = effect.interval if effect and effect.interval else (None, None)
    return {
        "source": line.source,
        "sd": effect.sd if effect else None,
        "low": low,
        "high": high,
        "total_effect": effect.share if effect else None,
        "pairs": line.pairs,
        "identical": line.identical,
    }
