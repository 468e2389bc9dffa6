"""Checks whether replicates under different seeds differ; if not, the trainable ignores its seed."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from hpo.core.records import START, Evaluation, Objective, Stage, Status

COARSE = 1000
"""A value k / m with m up to this may be a share of m cases, and two such values may be equal by chance."""

FEW = 3
"""How many distinct coarse values must be equal to rule out chance, if other seeds do differ."""

CLOCKS = re.compile(
    r"(?:^|[_./-])(?:time|times|seconds?|secs?|minutes?|ms|us|ns|latency|latencies|duration|elapsed|throughput|fps)"
    r"(?:$|[_./-])|per_s(?:ec(?:ond)?)?$",
    re.IGNORECASE,
)
"""Names of metrics that are times or speeds: they differ between any two trainings, whatever the seed."""


class Use(StrEnum):
    """Whether a trial's seeds make a difference."""

    USED = "used"
    IGNORED = "ignored"
    UNCLEAR = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedUse:
    """Whether the seeds of one trial make a difference.

    Attributes:
        trial: number of the trial.
        use: `ignored` if replicates are bit-identical under different seeds; `cannot tell` if everything comparable is
            equal, but could be by chance.
        equal: groups of seeds with equal replicates; empty if all differ.
        seeds: the compared seeds.
        same_weights: seeds whose weights are bit-identical although their values differ: the seed affects validation
            but not training. Empty if there are none.
        value_only: whether only the objective's values are equal, while weights or other metrics differ.
        same_start: whether the trainings differ, but start from the same weights under every seed.
    """

    trial: int
    use: Use
    equal: tuple[tuple[int, ...], ...]
    seeds: tuple[int, ...]
    same_weights: tuple[int, ...] = ()
    value_only: bool = False
    same_start: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all replicates are equal, rather than some."""
        return len(self.equal) == 1 and self.equal[0] == self.seeds


def seed_uses(
    evaluations: Iterable[Evaluation], objective: Objective, stage: Stage = Stage.PROMOTION
) -> dict[int, SeedUse]:
    """Returns by trial whether its seeds make a difference; trials with fewer than two complete replicates are omitted.

    Args:
        evaluations: evaluations of any stage; only those of `stage` are used.
        objective: objective of the study, with the metrics to ignore.
        stage: stage of the compared replicates: promotion, or search with several seeds.
    """
    found: dict[int, dict[int, Evaluation]] = {}
    for one in evaluations:
        job = one.job
        if job.stage is stage and one.status is Status.COMPLETE and not job.variant:
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
    elif _value_is_fixed(list(by_seed.values()), objective):
        return SeedUse(trial=trial, use=Use.IGNORED, equal=(seeds,), seeds=seeds, value_only=True)
    else:
        use = Use.USED  # some are equal, as shares of few cases may be by chance
    return SeedUse(
        trial=trial,
        use=use,
        equal=tuple(sure),
        seeds=seeds,
        same_weights=() if sure else _same_digests(by_seed, "weights"),
        same_start=use is Use.USED and _same_digests(by_seed, START) == seeds,
    )


def _compared(one: Evaluation, objective: Objective) -> object:
    """Returns what is compared: digests and the objective's curve; without digests the curves of all metrics."""
    names = [objective.metric] if _digests(one) else _names(one, objective)
    return _digests(one), tuple(names), _curves(one, names)


def _value_is_fixed(replicates: Sequence[Evaluation], objective: Objective) -> bool:
    """Whether the objective has the same curve under every seed, which cannot be chance."""
    first, *others = (_curves(one, [objective.metric]) for one in replicates)
    values = {value for curve in first for (value,) in curve if value is not None}
    return all(one == first for one in others) and len(values) > 1 and not all(map(is_coarse, values))


def _curves(one: Evaluation, names: Sequence[str]) -> tuple[tuple[tuple[float | None, ...], ...], ...]:
    """Returns the values of some metrics by training and step."""
    return tuple(
        tuple(tuple(report.metrics.get(name) for name in names) for report in training.reports)
        for training in one.trainings
    )


def _digests(one: Evaluation) -> tuple[tuple[str, str], ...]:
    """Returns the digests of the outcomes; a different start is irrelevant if the outcome is the same."""
    return tuple(pair for training in one.trainings for pair in sorted(training.digests.items()) if pair[0] != START)


def _names(one: Evaluation, objective: Objective) -> list[str]:
    """Returns the metrics to compare: without those that the study ignores, and those that look like times."""
    known = dict.fromkeys(name for training in one.trainings for report in training.reports for name in report.metrics)
    kept = [name for name in known if name not in objective.ignore]
    return sorted(name for name in kept if not CLOCKS.search(name)) or sorted(kept) or [objective.metric]


def _rules_out_chance(one: Evaluation, objective: Objective, *, is_whole: bool) -> bool:
    """Whether equality with a replicate under another seed cannot be chance.

    Equal digests cannot be. Equal curves need more than one distinct value (a constant curve is no better than a single
    number), and `FEW` of them if all are shares of few cases and other replicates differ.
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
    """Whether a value may be a share of at most `COARSE` cases, so that equal values may be chance.

    The share may have been computed in float32, as torch does: then it is a float32 next to the exact share.
    """
    if not math.isfinite(value):
        return False
    exact = Fraction(value)
    distance = abs(exact.limit_denominator(COARSE) - exact)
    return distance < Fraction(1, 10**12) or (_is_float32(value) and distance <= abs(exact) / 2**23)


def _is_float32(value: float) -> bool:
    try:
        return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
    except OverflowError:
        return False


def _same_digests(by_seed: Mapping[int, Evaluation], name: str) -> tuple[int, ...]:
    """Returns seeds whose trainings have the same digest; empty if there are none."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for seed, one in by_seed.items():
        found = tuple(training.digests[name] for training in one.trainings if name in training.digests)
        if found:
            groups.setdefault(found, []).append(seed)
    return next((tuple(seeds) for seeds in groups.values() if len(seeds) > 1), ())


def seed_warnings(uses: Sequence[SeedUse], candidates: int) -> list[str]:
    """Returns warnings about seeds that make no difference; empty if there are none.

    Args:
        uses: seed use of each candidate.
        candidates: number of candidates.
    """
    lines = []
    for group in _group_by_seeds((one, one.seeds) for one in uses if one.value_only):
        lines.append(
            f"The value ignores the seed: for {_trials(group)} it is bit-identical under seeds "
            f"{_seeds(group[0].seeds)}, though weights or other metrics differ. Its sigma is not meaningful; check how "
            "the value is computed."
        )
    ignored = [one for one in uses if one.use is Use.IGNORED and not one.value_only]
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
                "so there are fewer independent ones than it seems, and its sigma is not meaningful."
            )
    if unclear := [one for one in uses if one.use is Use.UNCLEAR]:
        lines.append(
            f"Cannot tell whether the seed is used: {_trials(unclear)} yielded the same values under seeds "
            f"{_seeds(unclear[0].seeds)}, too few to tell an ignored seed from chance. Its sigma is not "
            "meaningful; yield a loss too, or the metric at every epoch."
        )
    for group in _group_by_seeds((one, one.same_weights) for one in uses if one.same_weights):
        lines.append(
            f"The weights of {_trials(group)} are bit-identical under seeds {_seeds(group[0].same_weights)}, though "
            "its values differ: the seed affects the validation, and the training ignores it."
        )
    if same := [one for one in uses if one.same_start and not one.same_weights]:
        lines.append(
            f"The seed does not affect the initial weights: {_trials(same)} starts from the same ones under seeds "
            f"{_seeds(same[0].seeds)}, so sigma does not include initialization. That is fine for pretrained weights "
            'and for [streams] init = "fixed"; otherwise look for a seed that the trainable sets itself, such as '
            "torch.manual_seed(0)."
        )
    return lines


def _group_by_seeds(uses: Iterable[tuple[SeedUse, tuple[int, ...]]]) -> list[list[SeedUse]]:
    """Groups trials with the same seeds."""
    groups: dict[tuple[int, ...], list[SeedUse]] = {}
    for one, seeds in uses:
        groups.setdefault(seeds, []).append(one)
    return list(groups.values())


_MEANING = (
    "Their sigma is not meaningful, and the confidence in the ranking is unknown. Look for a seed that the "
    "trainable sets itself, such as torch.manual_seed(0): write torch.manual_seed(hpo.seeded(0)), or take randomness "
    "from ctx.streams. A command needs {seed} among its arguments, or reads HPO_SEED."
)


def _seeds(seeds: Sequence[int]) -> str:
    return " ".join(map(str, seeds))


def _trials(uses: Sequence[SeedUse]) -> str:
    return f"trial {', '.join(str(one.trial) for one in uses)}"
