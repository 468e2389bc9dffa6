"""Warnings on a promotion as sentences: ignored seeds, collapsed models, newer trials, overlapping folds."""

from __future__ import annotations

import shlex
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from hpo.core.errors import HpoError
from hpo.core.formatting import counted
from hpo.core.records import Evaluation, Job
from hpo.stats.collapse import Collapse
from hpo.stats.ranking import Ranking, Row
from hpo.stats.seed_use import SeedUse, Use, seed_warnings
from hpo.study import Study, Trial
from hpo.training.predictions import FILE, Predictions, class_names


def warnings_of(
    *,
    study: str,
    ranking: Ranking,
    winner: Row | None,
    uses: Sequence[SeedUse],
    collapses: Mapping[int, Collapse],
    since: int,
) -> Iterator[str]:
    """Yields warnings on a promotion as sentences, the most serious first.

    Args:
        study: name of the study.
        ranking: ranking of the candidates.
        winner: first row of the ranking or of its race; None if there is none.
        uses: per candidate, whether its replicates under different seeds differ.
        collapses: by trial, replicates whose model learned nothing.
        since: number of trials that completed after the promotion.
    """
    first = winner.candidate.trial if winner else None
    if first is not None and first in collapses and collapses[first].is_whole:
        yield (
            f"Trial {first} ranks first but {collapses[first].description}: it has learned nothing that tells cases "
            "apart, and no other candidate scores better."
        )
    yield from seed_warnings(uses, len(ranking.rows))
    if winner is not None:
        yield from _ignored_seed_warnings(winner, ranking, any(one.use is Use.IGNORED for one in uses))
    for trial, collapse in collapses.items():
        if trial != first or not collapse.is_whole:
            yield f"Trial {trial} {collapse.description}."
    if since:
        yield (
            f"Not the newest: {counted(since, 'trial')} completed after this promotion and "
            f"{'is' if since == 1 else 'are'} not part of it. Promote again: hpo promote --study {study}"
        )


def promote_command(study: Study, ranking: Ranking) -> str:
    """Returns the command that promotes the ranked candidates by the ranking's rule.

    Args:
        study: the study, whose file says what needs no option.
        ranking: ranking of the candidates.
    """
    own, rule, table = study.promotion.score, ranking.rule, study.promotion
    given = {
        "--rule": (rule.name, own.name),
        "--lambda": (f"{rule.lambda_:g}", f"{own.lambda_:g}"),
        "--ddof": (str(rule.ddof), str(own.ddof)),
        "--top": (str(len(ranking.rows)), str(table.top)),
        "--seeds": (",".join(map(str, ranking.seeds)), ",".join(map(str, table.seeds))),
    }
    options = [word for option, (now, stated) in given.items() if now != stated for word in (option, now)]
    return shlex.join(["hpo", "promote", "--study", study.name, *options])


def _ignored_seed_warnings(winner: Row, ranking: Ranking, ignored: bool) -> Iterator[str]:
    """Yields a sentence on how candidates that ignore their seeds are ranked."""
    if winner.candidate.use is not Use.USED:
        yield f"No winner is decided: trial {winner.candidate.trial} is only ranked first."
    if ignored and ranking.allow_ignored:
        yield "Candidates that ignore the seed are ranked with sigma 0, as --allow-ignored-seed allows."
    elif ignored and winner.candidate.use is Use.USED:
        yield (
            "Candidates that ignore the seed are ranked behind the others; --allow-ignored-seed ranks them by sigma 0."
        )


def one_class_predictions(evaluations: Iterable[Evaluation]) -> dict[tuple[int, int], str]:
    """Returns, by trial and seed, the class that a replicate predicts for all validation cases, as its files name it.

    Covers replicates whose predictions are on this machine's disk and have cases of several classes.
    """
    found = {}
    for one in evaluations:
        known = [_one_class(Path(training.files)) for training in one.trainings if training.files]
        if known and len(known) == len(one.trainings) and known[0] is not None and all(known):
            found[one.job.trial, one.job.seed] = known[0]
    return found


def overlapping_folds(evaluations: Iterable[Evaluation], folds: int) -> list[str]:
    """Returns sentences on trials with folds that validate on the same cases, which is no cross-validation.

    Args:
        evaluations: replicates with their folds; checked if their predictions are on this machine's disk and name
            each case by a different row.
        folds: number of folds per repeat.
    """
    found: dict[int, str] = {}
    for one in evaluations:
        repeats: dict[int, Counter[tuple[str, ...]]] = {}
        for fold in one.folds:
            if fold.files:
                repeats.setdefault((fold.job.fold - 1) // folds, Counter()).update(_cases(Path(fold.files)))
        for counts in repeats.values():
            if twice := sum(count > 1 for count in counts.values()):
                found.setdefault(one.job.trial, _overlap(one.job, twice, len(counts)))
    return list(found.values())


def _overlap(job: Job, twice: int, count: int) -> str:
    return (
        f"The folds of trial {job.trial} overlap: under seed {job.seed_text} {counted(twice, 'case')} of {count} "
        f"{'is' if twice == 1 else 'are'} validated in more than one fold, so this is no cross-validation. Divide the "
        "data by ctx.streams.split into ctx.folds parts, train on all but part ctx.fold and validate on that."
    )


def _cases(folder: Path) -> frozenset[tuple[str, ...]]:
    """Returns the validation cases of a training; empty if they are unknown or not unique."""
    try:
        return _cases_of(folder, (folder / FILE).stat().st_mtime_ns)
    except OSError:
        return frozenset()


@lru_cache(maxsize=1024)  # pages ask every few seconds
def _cases_of(folder: Path, _changed: int) -> frozenset[tuple[str, ...]]:
    predictions = _loaded(folder)
    rows = list(zip(*predictions.cases.values(), strict=True)) if predictions is not None else []
    return frozenset(rows) if len(set(rows)) == len(rows) else frozenset()


def _loaded(folder: Path) -> Predictions | None:
    try:
        return Predictions.load(folder)
    except (HpoError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # code that needs the file reports what is wrong with it


def _one_class(folder: Path) -> str | None:
    try:
        return _one_class_of(folder, (folder / FILE).stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=1024)  # pages ask every few seconds
def _one_class_of(folder: Path, _changed: int) -> str | None:
    predictions = _loaded(folder)
    if predictions is None or len(np.unique(predictions.truth)) < 2:
        return None
    predicted_N = predictions.probabilities.argmax(axis=1)
    if len(np.unique(predicted_N)) != 1:
        return None
    return class_names(predictions.labels, predictions.names)[int(predicted_N[0])]


def other_code(
    trials: Iterable[int], evaluations: Iterable[Evaluation], code: str, searched: Iterable[Trial]
) -> dict[int, str]:
    """Returns, by trial, what was computed with other code than the study's newest.

    Args:
        trials: numbers of the promoted trials.
        evaluations: their replicates; others may be among them.
        code: digest of the study's newest code; empty: unknown.
        searched: the study's trials, which have the code that they were trained with.
    """
    by_search = {one.number for one in searched if code and one.code and one.code != code}
    by_seed = {one.job.trial for one in evaluations if code and one.code.digest and one.code.digest != code}
    found = {
        trial: " and ".join(["search value"] * (trial in by_search) + ["replicates"] * (trial in by_seed))
        for trial in sorted(trials)
    }
    return {trial: what for trial, what in found.items() if what}


def other_code_text(found: Mapping[int, str]) -> str:
    """Returns these parts as text: `the search value of trial 1, 2; the replicates of trial 2`."""
    listed = {
        part: [str(trial) for trial, what in found.items() if part in what] for part in ("search value", "replicates")
    }
    return "; ".join(f"the {part} of trial {', '.join(trials)}" for part, trials in listed.items() if trials)
