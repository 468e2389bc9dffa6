"""Samplers and pruners of other origin: which of them follow from the seeds, as far as that can be shown."""

from __future__ import annotations

import math
from collections import deque

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.core.errors import Problem, SamplerFailed, UsageError
from hpo.search.memory import MemoryStudy
from hpo.study import Study
from hpo.study import notes as notes_of_file
from hpo.study.plugins import is_plugin, plugin_class, takes_seed

PROBED = 14
"""Made-up trials by which two objects of one seed are compared; more than the random start of most samplers."""

_FOUND: dict[tuple[str, str], tuple[str, ...]] = {}
"""Answers of this process, by the project's folder and the digest of the study."""


def doubts(study: Study) -> tuple[str, ...]:
    """Returns why a search may not be reproducible, as sentences: only plug-ins are doubted.

    A sampler has to take a seed, and two samplers of one seed have to propose the same params for made-up trials; two
    pruners have to decide the same on them.

    Args:
        study: the study whose sampler and pruner are checked.

    Raises:
        UsageError: if one of them fails on the made-up trials.
    """
    if not is_plugin(study.search.sampler) and not is_plugin(study.search.pruner):
        return ()
    key = (str(study.root), study.digest)
    if key not in _FOUND:
        _FOUND[key] = tuple(_doubts(study))
    return _FOUND[key]


def notes(study: Study) -> list[Problem]:
    """Returns notes on what is allowed but may be unintended, also of a search that may not be reproducible.

    Args:
        study: the study that is checked.
    """
    return notes_of_file(study) + [Problem("search", f"not reproducible: {doubt}") for doubt in doubts(study)]


def _doubts(study: Study) -> list[str]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler, pruner = study.search.sampler, study.search.pruner
    try:
        first, second = (_probe(study) for _ in range(2))
    except SamplerFailed as error:
        raise UsageError(
            f"the sampler or the pruner failed on {PROBED} made-up trials before the search: "
            f"{str(error).partition('. What has been trained')[0]}"
            + ("; if it expects to know all earlier trials, set [search] lag = 1" if study.lag != 1 else "")
        ) from error
    found = []
    if is_plugin(sampler):
        if not takes_seed(plugin_class("sampler", sampler, study.root)):
            found.append(f"sampler {sampler!r} takes no argument `seed`")
        elif first[0] != second[0]:
            found.append(f"two samplers {sampler!r} of the same seed propose different params")
    if is_plugin(pruner) and first[1] != second[1]:
        found.append(f"two pruners {pruner!r} decide differently on the same trials")
    return found


def _probe(study: Study) -> tuple[list[object], list[bool]]:
    """Returns the params of made-up trials, and the decisions on curves that do not depend on the params."""
    ways = study.objective.directions
    memory = MemoryStudy(study, [StudyDirection[way.upper()] for way in ways])
    proposed: list[object] = []
    decisions: list[bool] = []
    waiting: deque[FrozenTrial] = deque()  # of which the next trial may know nothing yet
    for number in range(PROBED):
        if len(waiting) == (study.lag or 1):
            memory.tell(waiting.popleft())
        trial = memory.propose(number, {})
        proposed.append(dict(trial.params))
        for step in range(1, min(study.steps, PROBED) + 1):
            trial.intermediate_values[step] = math.sin(1.0 + 7.0 * number) * step
            decisions.append(memory.pruner.should_prune(trial, number - len(waiting)))
        trial.state = TrialState.COMPLETE
        trial.values = [math.cos(1.0 + (5.0 + place) * number) for place in range(len(ways))]
        waiting.append(trial)
    return proposed, decisions
