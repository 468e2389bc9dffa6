"""Chooses the candidates of a promotion, its rule and the plan of a race, and checks its options."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice

from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.records import LARGEST_SEED
from hpo.core.run_config import RunConfig
from hpo.driver.resources import require_runnable
from hpo.promotion.options import MAX_SEEDS, PromotionOptions, RuleOptions, count_of
from hpo.promotion.race import Plan
from hpo.results import require_writable
from hpo.search.split import FIRST, NOISY, SMOOTH, Split
from hpo.seeds.derived import Purpose, derive_seed
from hpo.stats.scoring import Rule
from hpo.study import Study, Trial, sort_best_first
from hpo.study.objective import require_one_objective

LEAST_SPLIT, MOST_SPLIT = 50, 75
"""Totals of trainings that are split by how noisy the first values are; with fewer or more, no rule was better."""


def choose_candidates(trials: Sequence[Trial], study: Study, top: int) -> list[Trial]:
    """Returns the best complete trials; of trials with the same params only the first, because they are one training.

    Raises:
        NothingToPromote: if no trial has completed.
    """
    chosen: list[Trial] = []
    for trial in sort_best_first(trials, study):
        if all(trial.params != other.params for other in chosen):
            chosen.append(trial)
    if not chosen:
        states = [trial.state for trial in trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "no trials at all"
        raise NothingToPromote(
            f"study {study.name!r} has no completed trial to promote ({counts}); "
            f"search first: hpo run --study {study.name}"
        )
    return chosen[:top]


def with_seeds(study: Study, options: PromotionOptions) -> Study:
    """Returns a study with the seeds that the options set for its promotion.

    Generated seeds follow from the search's seed: the same command has the same seeds, and a longer list begins with
    the shorter one. None of them is a seed of the search, 0 or 1.

    Args:
        study: the study to be promoted.
        options: options of the promotion.
    """
    if options.seeds is None:
        return study
    seeds: Sequence[int] = () if isinstance(options.seeds, str) else options.seeds
    if isinstance(options.seeds, str):
        drawn = (derive_seed(study.search.seed, Purpose.REPLICATE, index) for index in itertools.count())
        known = {0, 1, *study.common_seeds}
        fresh = dict.fromkeys(seed for seed in islice(drawn, 2 * MAX_SEEDS) if seed not in known)
        seeds = list(islice(fresh, count_of(options.seeds)))
    return study.model_copy(update={"promotion": study.promotion.model_copy(update={"seeds": tuple(seeds)})})


def check_promotion(study: Study, config: RunConfig, options: PromotionOptions) -> Rule:
    """Checks, before anything is trained or written, that a promotion is possible; returns the rule that ranks.

    Args:
        study: the study to be promoted.
        config: where the study is stored and run.
        options: options of the promotion.

    Raises:
        UsageError: if the options contradict each other or the study.
        OutputRefused: if a folder cannot be written.
    """
    if options.curtail or options.confirm_seeds:
        require_one_objective(study, "--curtail" if options.curtail else "--confirm-seeds")
    study = with_seeds(study, options)
    score = rule_of(study, options)
    check_has_test_part(study, options)
    if options.curtail:
        _check_curtailable(study, score)
    plan = race_plan(study, study.search.trials, options)
    check_confirm_seeds(study, options.confirm_seeds, plan)
    require_runnable(study, config)
    require_writable(config.outputs / study.name)
    return score


def check_has_test_part(study: Study, options: PromotionOptions) -> None:
    """Checks that a study has the test part that a promotion is to use.

    Args:
        study: the study to be promoted.
        options: options of the promotion.

    Raises:
        UsageError: if it has none.
    """
    if options.test and (study.validation_ is None or study.validation_.test is None):
        raise UsageError(
            f"study {study.name!r} has no test part to evaluate the winner on; a test part is held out from the first "
            "training on: write [validation] test = 0.2 into a study with another name, search it, and promote it with "
            "--test"
        )


def _check_curtailable(study: Study, score: Rule) -> None:
    count = len(study.promotion.seeds)
    if math.isinf(score.bound([0.0] * (count - 1), count, study.objective.direction, study.objective_.limit)):
        raise UsageError(
            f"nothing can be left out under {score.formula(study.objective.direction)}: the last replicate's value "
            "has no bound; set [objective] limit in the study, or leave out --curtail"
        )


def rule_of(study: Study, options: RuleOptions) -> Rule:
    """Returns the study's rule with the fields that the options override.

    Raises:
        UsageError: if the rule or ddof does not exist, lambda is negative, or there are too few seeds.
    """
    own, seeds = study.promotion.score, study.promotion.seeds
    rule = Rule(
        name=own.name if options.rule is None else options.rule,
        lambda_=own.lambda_ if options.lambda_ is None else options.lambda_,
        ddof=own.ddof if options.ddof is None else options.ddof,
    )
    if len(seeds) < rule.min_values:
        raise UsageError(f"rule {rule.name} with ddof {rule.ddof} needs {rule.min_values} seeds, not {len(seeds)}")
    return rule


def races(study: Study, options: PromotionOptions) -> bool:
    """Whether a promotion is a race, by its options or by the study.

    Args:
        study: the study to be promoted.
        options: options of the promotion.
    """
    return options.race or study.promotion.race is not None


def race_plan(study: Study, trials: int, options: PromotionOptions) -> Plan | None:
    """Returns the plan of the race; None if the options ask for none.

    Args:
        study: the study to be promoted.
        trials: number of trials of its search.
        options: options of the promotion.

    Raises:
        UsageError: if such a race is not possible.
    """
    top, rungs, widths = options.top, options.rungs, options.widths
    if not races(study, options):
        if rungs or widths or options.share is not None:
            raise UsageError("rungs, widths and share are options of a race; add --race, or leave them out")
        return None
    require_one_objective(study, "a race")
    if options.curtail:
        raise UsageError("a race already leaves out replicates; use --race or --curtail, not both")
    if top and widths:
        raise UsageError(
            f"top and the first of the widths, {widths[0]}, both set how many candidates a race starts with; give one"
        )
    if (top or widths) and options.share is not None:
        raise UsageError(
            f"{'top' if top else 'widths'} and share both set how many candidates a race starts with; give one"
        )
    shared = [str(seed) for seed in study.promotion.seeds if seed in study.common_seeds]
    if shared:
        raise UsageError(
            f"a race must not use seeds of the search, but seed {', '.join(shared)} is a seed of both: search under "
            "another seed ([search] seed = 41), or promote without --race"
        )
    trainings, own = options.trainings, study.promotion.seeds
    share = options.share
    if share is None and study.promotion.race is not None and not (top or widths):
        share = study.promotion.race.share
    try:
        if share is not None:
            together = trainings // study.trainings if trainings else math.ceil(trials / (1 - share) - 1e-9)
            usual = Plan.for_share(together, share, tuple(rungs) if rungs else None)
        else:
            usual = Plan.for_trainings(trainings // study.trainings) if trainings else Plan.after_search(trials)
        rungs = tuple(rungs or usual.rungs)
        plan = Plan(rungs, tuple(widths)) if widths else Plan.from_first(top or usual.widths[0], rungs)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if plan.rungs[-1] < len(own):
        raise UsageError(
            f"the last rung must have at least the promotion's {len(own)} seeds, not {plan.rungs[-1]}: results are "
            "written for all of them"
        )
    return plan


def share_of_search(study: Study, options: PromotionOptions) -> int:
    """Returns the number of configurations left for the search, if search and race share `options.trainings`.

    Raises:
        UsageError: if such a race is not possible, or leaves the search too few trainings.
    """
    study = with_seeds(study, options)
    trainings = options.trainings or 0
    plan = race_plan(study, 0, options)
    promotion = _cost(study, plan, options)
    share = (trainings - promotion) // (study.trainings * len(study.search_seeds(0)))
    if plan is None or share < plan.widths[0]:
        raise UsageError(
            f"the promotion takes {promotion} of {trainings} trainings, which leaves the search too few to choose "
            f"{plan.widths[0] if plan else 1} candidates from; allow more, or a smaller race with --rungs and --widths"
        )
    return share


def split_of(study: Study, options: PromotionOptions) -> int | Split:
    """Returns how many configurations the search gets of `options.trainings`, or the split that decides it later.

    It is decided later where a plan has a short race, the total is about 60 trainings, and nothing sets the plan.

    Raises:
        UsageError: if such a race is not possible, or leaves the search too few trainings.
    """
    fixed, trainings, table = share_of_search(study, options), options.trainings or 0, study.promotion.race
    is_set = options.top or options.rungs or options.widths or options.share or (table and table.share)
    each = study.trainings * len(study.search_seeds(0))
    if is_set or each > 1 or len(study.objective.metrics) > 1 or not LEAST_SPLIT <= trainings <= MOST_SPLIT:
        return fixed
    smooth, noisy = (share_of_search(study, replace(options, share=share)) for share in (SMOOTH, NOISY))
    first = round(FIRST * trainings)
    return fixed if noisy < first else Split(trainings=trainings, first=first, smooth=smooth, noisy=noisy)


def epochs_of_search(study: Study, options: PromotionOptions, total: int) -> tuple[PromotionOptions, int]:
    """Returns the options of the promotion, and the epochs left for the search, if both share a number of epochs.

    Args:
        study: the study to be searched and promoted.
        options: options of the promotion; its trainings all have the whole budget.
        total: number of epochs of search and promotion.

    Raises:
        UsageError: if such a race is not possible, or leaves the search too few epochs.
    """
    study = with_seeds(study, options)
    budget = study.search.budget
    if total < budget:
        raise UsageError(f"{total} epochs are less than one training has in study {study.name!r}, {budget}")
    options = replace(options, trainings=total // budget)
    share_of_search(study, options)  # raises if it is too little
    return options, total - budget * _cost(study, race_plan(study, 0, options), options)


def trainings_of_promotion(study: Study, options: PromotionOptions, trials: int) -> int:
    """Returns the largest number of trainings of a promotion.

    Args:
        study: the study to be promoted.
        options: options of the promotion.
        trials: number of trials of its search.
    """
    plan = race_plan(study, trials, options)
    if plan is not None:
        return _cost(study, plan, options)
    grid = (options.top or study.promotion.top) * len(study.promotion.seeds)
    return study.trainings * grid + _cost(study, None, options)


def _cost(study: Study, plan: Plan | None, options: PromotionOptions) -> int:
    """Returns the number of trainings of a promotion by race."""
    return study.trainings * ((plan.cost if plan else 0) + len(options.confirm_seeds))


def race_seeds(study: Study, plan: Plan) -> tuple[int, ...]:
    """Returns the seeds of a race: the promotion's, then the following ones that are not seeds of the search."""
    own = study.promotion.seeds
    following = chain(range(max(own) + 1, LARGEST_SEED + 1), range(max(own)))
    fresh = (seed for seed in following if seed not in own and seed not in study.common_seeds)
    return tuple(islice(chain(own, fresh), plan.rungs[-1]))


def check_confirm_seeds(study: Study, confirm_seeds: Sequence[int], plan: Plan | None) -> None:
    """Checks the seeds that confirm the winner.

    Raises:
        UsageError: if a seed is out of range, given twice, or was used to choose the winner.
    """
    chosen_on = study.promotion.seeds if plan is None else race_seeds(study, plan)
    used = dict.fromkeys(chosen_on, "the promotion") | dict.fromkeys(study.common_seeds, "the search")
    for index, seed in enumerate(confirm_seeds):
        if not 0 <= seed <= LARGEST_SEED:
            raise UsageError(f"a seed must be 0 to {LARGEST_SEED}, not {seed}")
        if seed in used:
            raise UsageError(
                f"seed {seed} is a seed of {used[seed]}: the winner was chosen on it, so it cannot confirm; use another"
            )
        if seed in confirm_seeds[:index]:
            raise UsageError(f"seed {seed} is given twice; replicates must differ")
