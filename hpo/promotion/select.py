"""Which trials are promoted, by which rule, and what of it makes no sense."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, islice

from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.records import LARGEST_SEED
from hpo.core.run_config import RunConfig
from hpo.driver.resources import require_runnable
from hpo.promotion.options import PromotionOptions, RuleOptions
from hpo.promotion.race import Plan
from hpo.results import require_writable
from hpo.stats.scoring import Rule
from hpo.study import Study, Trial, sort_best_first


def refuse_promotion(study: Study, config: RunConfig, options: PromotionOptions) -> Rule:
    """Returns the rule that ranks; raises, before anything is trained or written, where no promotion could be made so.

    Args:
        study: the study to be promoted.
        config: where it is kept and run.
        options: the options of the promotion.

    Raises:
        UsageError: if the numbers make no sense.
        OutputRefused: if a folder cannot be written.
    """
    score = rule_of(study, options)
    if options.curtail:
        _refuse_endless(study, score)
    plan = race_plan(study, study.search.trials, options)
    refuse_confirming(study, options.confirm_seeds, plan)
    require_runnable(study, config)
    require_writable(config.outputs / study.name)
    return score


def _refuse_endless(study: Study, score: Rule) -> None:
    count = len(study.promotion.seeds)
    if math.isinf(score.bound([0.0] * (count - 1), count, study.objective.direction, study.limit)):
        raise UsageError(
            f"nothing can be left out under {score.formula(study.objective.direction)}: a last replicate could be as "
            "good as it likes; say in the study what it cannot exceed ([objective] limit), or leave out --curtail"
        )


def rule_of(study: Study, options: RuleOptions) -> Rule:
    """Returns the study's rule with what the user wants different.

    Raises:
        UsageError: if there is no such rule or ddof, lambda is negative, or there are too few seeds.
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


def race_plan(study: Study, trials: int, options: PromotionOptions) -> Plan | None:
    """Returns how a race spends its trainings; None: there is to be none.

    Args:
        study: the study to be promoted.
        trials: of its search.
        options: how it is promoted.

    Raises:
        UsageError: if there can be no such race.
    """
    top, rungs, widths = options.top, options.rungs, options.widths
    if not options.race:
        if rungs or widths:
            raise UsageError("rungs and widths are a race's; add --race, or leave them out")
        return None
    if options.curtail:
        raise UsageError("a race leaves replicates out in its own way; name --race or --curtail, not both")
    if top and widths:
        raise UsageError(
            f"top is how many candidates a race begins with, and so is the first of the widths {widths[0]}"
        )
    shared = [str(seed) for seed in study.promotion.seeds if seed in study.common_seeds]
    if shared:
        raise UsageError(
            f"a race never scores a seed of the search, and seed {', '.join(shared)} is the promotion's too: search "
            "under another one ([search] seed = 41), or promote without --race"
        )
    trainings, own = options.trainings, study.promotion.seeds
    usual = Plan.for_trainings(trainings // study.trainings) if trainings else Plan.after_search(trials)
    rungs = tuple(rungs or usual.rungs)
    try:
        plan = Plan(rungs, tuple(widths)) if widths else Plan.from_first(top or usual.widths[0], rungs)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if plan.rungs[-1] < len(own):
        raise UsageError(
            f"the last rung must have the promotion's {len(own)} seeds at least, not {plan.rungs[-1]}: results are "
            "written for all of them"
        )
    return plan


def share_of_search(study: Study, options: PromotionOptions) -> int:
    """Returns how many configurations the search may try, where so many trainings are for it and a race together.

    Raises:
        UsageError: if there can be no such race, or it leaves the search nothing.
    """
    trainings = options.trainings or 0
    plan = race_plan(study, 0, options)
    promotion = study.trainings * ((plan.cost if plan else 0) + len(options.confirm_seeds))
    share = (trainings - promotion) // (study.trainings * len(study.search_seeds(0)))
    if plan is None or share < plan.widths[0]:
        raise UsageError(
            f"of {trainings} trainings the promotion takes {promotion}, which leaves the search too few to choose "
            f"{plan.widths[0] if plan else 1} candidates from; name more, or a smaller race with --rungs and --widths"
        )
    return share


def race_seeds(study: Study, plan: Plan) -> tuple[int, ...]:
    """Returns the seeds of a race: the promotion's, then those that follow them and are not the search's."""
    own = study.promotion.seeds
    following = chain(range(max(own) + 1, LARGEST_SEED + 1), range(max(own)))
    fresh = (seed for seed in following if seed not in own and seed not in study.common_seeds)
    return tuple(islice(chain(own, fresh), plan.rungs[-1]))


def refuse_confirming(study: Study, confirm_seeds: Sequence[int], plan: Plan | None) -> None:
    """Raises where a seed cannot confirm.

    Raises:
        UsageError: if so.
    """
    chosen_on = study.promotion.seeds if plan is None else race_seeds(study, plan)
    used = dict.fromkeys(chosen_on, "the promotion") | dict.fromkeys(study.common_seeds, "the search")
    for index, seed in enumerate(confirm_seeds):
        if not 0 <= seed <= LARGEST_SEED:
            raise UsageError(f"a seed must be 0 to {LARGEST_SEED}, not {seed}")
        if seed in used:
            raise UsageError(
                f"seed {seed} is {used[seed]}'s: the winner was chosen on it, so it cannot confirm; take another"
            )
        if seed in confirm_seeds[:index]:
            raise UsageError(f"seed {seed} is named twice; replicates must differ")


def choose(trials: Sequence[Trial], study: Study, top: int) -> list[Trial]:
    """Returns the best complete trials; of trials with the same params only the first, for they are one training.

    Raises:
        NothingToPromote: if none has completed.
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
