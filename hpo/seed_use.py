"""Whether replicates under different seeds differ: where they do not, the trainable ignores its seed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from hpo.records import Evaluation, Objective, Stage, Status

COARSE = 1000
"""A value k / m with m up to this may be a share of so many cases, and two of those may be equal by chance."""

FEW = 3
"""Different coarse values that have to be equal before chance is ruled out, where other seeds do differ."""

CLOCKS = re.compile(
    r"(?:^|[_./-])(?:time|times|seconds?|secs?|minutes?|ms|us|ns|latency|latencies|duration|elapsed|throughput|fps)"
    r"(?:$|[_./-])|per_s(?:ec(?:ond)?)?$",
    re.IGNORECASE,
)
"""Names of metrics that are times or speeds: they differ between any two trainings, whatever the seed does."""


class Use(StrEnum):
    """What the replicates of a trial say of its seeds."""

    USED = "used"
    IGNORED = "ignored"
    UNCLEAR = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedUse:
    """What the replicates of one trial say of its seeds.

    Attributes:
        trial: its number.
        use: `ignored` if replicates are the same to the last bit under different seeds; `cannot tell` if all that can
            be compared is equal, and so little that chance would do.
        equal: the seeds whose replicates are equal, a group each; empty if all differ.
        seeds: that were compared.
        same_weights: seeds whose weights are bit-identical though their values differ: the seed moves the validation
            and not the training. Empty if there are none.
    """

    trial: int
    use: Use
    equal: tuple[tuple[int, ...], ...]
    seeds: tuple[int, ...]
    same_weights: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all replicates equal each other, rather than some of them."""
        return len(self.equal) == 1 and self.equal[0] == self.seeds


def seed_uses(evaluations: Iterable[Evaluation], objective: Objective) -> dict[int, SeedUse]:
    """Returns by trial what its replicates say of its seeds; a trial with fewer than two complete ones is left out.

    Args:
        evaluations: of promotions; others may be among them and are passed over.
        objective: of the study, for its metric and the metrics that are not compared.
    """
    found: dict[int, dict[int, Evaluation]] = {}
    for one in evaluations:
        job = one.job
        if job.stage is Stage.PROMOTION and one.status is Status.COMPLETE and not job.variant:
            found.setdefault(job.trial, {})[job.seed] = one
    return {trial: _use(trial, by_seed, objective) for trial, by_seed in sorted(found.items()) if len(by_seed) > 1}


def _use(trial: int, by_seed: Mapping[int, Evaluation], objective: Objective) -> SeedUse:
    groups: dict[object, list[int]] = {}
    for seed, one in by_seed.items():
        groups.setdefault(_compared(one, objective), []).append(seed)
    seeds = tuple(by_seed)
    equal = [tuple(group) for group in groups.values() if len(group) > 1]
    is_whole = len(groups) == 1
    sure = [group for group in equal if _rules_out_chance(by_seed[group[0]], objective, is_whole=is_whole)]
    if sure:
        use = Use.IGNORED
    elif is_whole:
        use, sure = Use.UNCLEAR, equal
    else:
        use = Use.USED  # some are equal, as shares of few cases are now and then
    return SeedUse(
        trial=trial,
        use=use,
        equal=tuple(sure),
        seeds=seeds,
        same_weights=() if sure else _same_weights(by_seed),
    )


def _compared(one: Evaluation, objective: Objective) -> object:
    """Returns what has to be equal: digests with the objective's curve; without digests the curves of all metrics."""
    names = [objective.metric] if _digests(one) else _names(one, objective)
    curves = tuple(
        tuple(tuple(report.metrics.get(name) for name in names) for report in training.reports)
        for training in one.trainings
    )
    return _digests(one), tuple(names), curves


def _digests(one: Evaluation) -> tuple[tuple[str, str], ...]:
    return tuple(pair for training in one.trainings for pair in sorted(training.digests.items()))


def _names(one: Evaluation, objective: Objective) -> list[str]:
    """Returns the metrics that are compared: none that the study ignores, and none that looks like a time."""
    known = dict.fromkeys(name for training in one.trainings for report in training.reports for name in report.metrics)
    kept = [name for name in known if name not in objective.ignore]
    return sorted(name for name in kept if not CLOCKS.search(name)) or sorted(kept) or [objective.metric]


def _rules_out_chance(one: Evaluation, objective: Objective, *, is_whole: bool) -> bool:
    """Whether an equal replicate under another seed cannot be chance.

    Equal digests cannot. Curves take more than one value (one that is the same in every epoch says as little as a
    single number), and where all are shares of few cases and other replicates differ, `FEW` of them.
    """
    if _digests(one):
        return True
    names = _names(one, objective)
    values = [
        value
        for training in one.trainings
        for report in training.reports
        for name in names
        if (value := report.metrics.get(name)) is not None
    ]
    if len(set(values)) < 2:
        return False
    return any(not is_coarse(value) for value in values) or len(set(values)) >= (2 if is_whole else FEW)


def is_coarse(value: float) -> bool:
    """Whether a value may be a share of so few cases (`COARSE`) that two equal ones may be chance."""
    return abs(Fraction(value).limit_denominator(COARSE) - Fraction(value)) < Fraction(1, 10**12)


def _same_weights(by_seed: Mapping[int, Evaluation]) -> tuple[int, ...]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for seed, one in by_seed.items():
        weights = tuple(training.digests["weights"] for training in one.trainings if "weights" in training.digests)
        if weights:
            groups.setdefault(weights, []).append(seed)
    return next((tuple(seeds) for seeds in groups.values() if len(seeds) > 1), ())


def said(uses: Sequence[SeedUse], candidates: int) -> list[str]:
    """Returns what there is to say of seeds that make no difference, in sentences; none if all is well.

    Args:
        uses: of the candidates.
        candidates: how many there are.
    """
    lines = []
    ignored = [one for one in uses if one.use is Use.IGNORED]
    whole = [one for one in ignored if one.is_whole]
    if len(whole) == candidates and candidates > 1:
        lines.append(
            f"The seed is ignored: the replicates of every candidate are bit-identical under seeds "
            f"{_seeds(whole[0].seeds)}. {_MEANING}"
        )
    elif whole:
        lines.append(
            f"The seed is ignored: the replicates of {_trials(whole)} are bit-identical under seeds "
            f"{_seeds(whole[0].seeds)}. {_MEANING}"
        )
    for one in ignored:
        if not one.is_whole:
            groups = "; ".join(_seeds(group) for group in one.equal)
            lines.append(
                f"The seed is ignored in part: replicates of trial {one.trial} are bit-identical under seeds {groups}, "
                "so they are fewer than they look, and its sigma is not meaningful."
            )
    if unclear := [one for one in uses if one.use is Use.UNCLEAR]:
        lines.append(
            f"Cannot tell the seeds apart: all that {_trials(unclear)} yielded is the same under seeds "
            f"{_seeds(unclear[0].seeds)}, and it is too little to tell an ignored seed from chance. Its sigma is not "
            "meaningful; yield a loss too, or the metric at every epoch."
        )
    for one in uses:
        if one.same_weights:
            lines.append(
                f"The weights of trial {one.trial} are bit-identical under seeds {_seeds(one.same_weights)}, though "
                "its values differ: the seed moves the validation, and the training ignores it."
            )
    return lines


_MEANING = (
    "Their sigma is not meaningful, and nothing is known of how sure the ranking is. Look for a seed that the "
    "trainable sets itself, such as torch.manual_seed(0), and take randomness from ctx.streams."
)


def _seeds(seeds: Sequence[int]) -> str:
    return " ".join(map(str, seeds))


def _trials(uses: Sequence[SeedUse]) -> str:
    return f"trial {', '.join(str(one.trial) for one in uses)}"
