"""The verbs that only look: studies, check, status, show, rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpo import catalog
from hpo.api.choosing import rule_of
from hpo.api.code_changes import newest_code
from hpo.api.reporting import PromotionReport
from hpo.api.searching import incumbent
from hpo.api.session import resolved, storage, stored_study
from hpo.api.soundness import with_uses
from hpo.api.steering import is_pending
from hpo.catalog import Checked
from hpo.errors import NothingToPromote, UsageError
from hpo.folds import joined
from hpo.place import Place
from hpo.promotion import Plan, Race
from hpo.ranking import Candidate, rank
from hpo.records import Evaluation, Stage, canonical_json
from hpo.scoring import Rule, RuleName
from hpo.search import Durable, Trial
from hpo.statistics import Ddof
from hpo.store import Holder, Store, StoredPromotion, StoredStudy
from hpo.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a stored study stands.

    Attributes:
        name: of the study.
        metric: of its objective.
        direction: of its objective.
        wanted: trials it is to have.
        counts: trials by state; those imported are none of the study's own.
        incumbent: the best complete trial.
        promoted: number of the winner, None if nothing was promoted.
        results: names of the winner's folders.
        since: trials that completed after that promotion and are no part of it.
        driver: who drives it, or did and did not let go.
        paused: whether nothing new is to begin.
        job: its newest of Ray's jobs; None: it was never submitted.
        pending: whether that job has not begun to drive it.
        last_activity: when the newest training was recorded, ISO text in UTC.
    """

    name: str
    metric: str
    direction: str
    wanted: int
    counts: Mapping[str, int]
    incumbent: Trial | None
    promoted: int | None
    results: tuple[str, ...]
    since: int
    driver: Holder | None
    paused: bool
    job: str | None
    pending: bool
    last_activity: str | None


def studies(folders: Iterable[Path] | None = None) -> list[Checked]:
    """Returns every study file that can be found, read but not compared with its trainable."""
    return [catalog.read(path) for path in catalog.listed(folders)]


def check(name: str, folders: Iterable[Path] | None = None) -> Checked:
    """Returns a study file with every problem in it.

    Raises:
        StudyNotFound: if there is no such file.
    """
    return catalog.check(catalog.find(name, folders))


def status(name: str | None, place: Place) -> list[Progress]:
    """Returns how one stored study stands, or all of them.

    Raises:
        UsageError: if the storage has no such study.
    """
    with storage(place.storage) as (store, durable):
        if name is None:
            return [progress(stored_study(store, known), store, durable) for known in store.names()]
        return [progress(stored_study(store, name), store, durable)]


def show(study: Study | str, number: int, place: Place) -> tuple[Trial, list[Evaluation]]:
    """Returns one trial with all its evaluations.

    Raises:
        UsageError: if the storage has no such study or the study no such trial.
    """
    name = study if isinstance(study, str) else study.name
    with storage(place.storage) as (store, durable):
        stored = stored_study(store, name)
        trials = trials_of(durable, name)
        if not 0 <= number < len(trials):
            count = f"trials 0 .. {len(trials) - 1}" if trials else "no trials"
            raise UsageError(f"study {name!r} has {count}, not {number}")
        return trials[number], store.evaluations(stored, trial=number)


def rank_stored(
    study: Study | str,
    place: Place,
    *,
    rule: RuleName | None = None,
    lambda_: float | None = None,
    ddof: Ddof | None = None,
) -> PromotionReport:
    """Returns the report of the newest promotion, its candidates ranked again; nothing is trained, nothing written.

    Raises:
        NothingToPromote: if there was no promotion.
        UsageError: if the storage has no such study.
    """
    study = resolved(study, to_train=False)
    score = rule_of(study, rule, lambda_, ddof)
    with storage(place.storage) as (store, durable):
        trials = trials_of(durable, study.name)
        return newest_report(study, stored_study(store, study.name), store, score, trials)


def newest_report(
    study: Study, stored: StoredStudy, store: Store, score: Rule, trials: Sequence[Trial]
) -> PromotionReport:
    """Returns the report of the newest promotion, ranked by a rule.

    Args:
        study: whose.
        stored: the same study, as the store knows it.
        store: that has the promotion.
        score: the rule.
        trials: of the study by now.

    Raises:
        NothingToPromote: if there was no promotion.
    """
    promotion = store.promotion(stored)
    replicates = joined(store.evaluations(stored, Stage.PROMOTION), study)
    if promotion is None:
        raise NothingToPromote(
            f"study {study.name!r} has no promotion yet; make one with: hpo promote --study {study.name}"
        )
    candidates = [
        Candidate(
            trial=row.trial,
            values={int(seed): value for seed, value in row.values.items()},
            search_value=row.search_value,
        )
        for row in promotion.ranks
    ]
    candidates = with_uses(candidates, replicates, study.objective)
    allow = promotion.allow_ignored
    ranking = rank(candidates, promotion.seeds, score, study.objective.direction, allow_ignored=allow)
    race = None
    if promotion.race:  # its rungs are as they were; only who is left at the end is ranked again
        own = Rule(name=promotion.rule, lambda_=promotion.lambda_, ddof=promotion.ddof)
        plan = Plan(tuple(promotion.race["rungs"]), tuple(promotion.race["widths"]))
        sign = -1.0 if ranking.direction == "maximize" else 1.0
        by_search = sorted(candidates, key=lambda one: (sign * (one.search_value or 0.0), one.trial))
        seeds = promotion.race["seeds"]
        race = Race.of(plan, by_search, seeds, own, ranking.direction, allow_ignored=allow).under(score)
    since = completed_since(promotion, stored, store, trials)
    code = newest_code(stored).digest
    return PromotionReport.of(study, ranking, replicates, race, since=since, code=code, searched=trials)


def completed_since(promotion: StoredPromotion, stored: StoredStudy, store: Store, trials: Sequence[Trial]) -> int:
    """Returns how many trials of the search completed after a promotion was made."""
    if promotion.made_at is None:
        return 0
    complete = {trial.number for trial in trials if trial.state == "complete"}
    return len(complete & store.completed_after(stored, promotion.made_at))


def trials_of(durable: Durable, name: str) -> list[Trial]:
    """Returns the trials of a stored study, none where it has not been searched."""
    found = durable.find(name)
    return found.trials() if found else []


def as_stored(stored: StoredStudy) -> Study:
    """Returns a study as it was last run, whatever its file says by now."""
    return Study.model_validate_json(canonical_json(dict(stored.content)))


def progress(stored: StoredStudy, store: Store, durable: Durable) -> Progress:
    """Returns how a stored study stands."""
    study = as_stored(stored)
    trials = trials_of(durable, stored.name)
    states = [trial.state for trial in trials]
    promotion = store.promotion(stored)
    return Progress(
        name=stored.name,
        metric=study.objective.metric,
        direction=study.objective.direction,
        wanted=max(study.search.trials, len(trials) - states.count("imported")),
        counts={state: states.count(state) for state in dict.fromkeys(states)},
        incumbent=incumbent(trials, study),
        promoted=promotion.winner if promotion else None,
        results=promotion.results if promotion else (),
        since=completed_since(promotion, stored, store, trials) if promotion else 0,
        driver=store.holder(stored),
        paused=stored.paused_at is not None,
        job=stored.job,
        pending=is_pending(store, stored),
        last_activity=store.last_activity(stored),
    )
