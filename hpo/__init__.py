"""Hyperparameter optimization whose winners hold on another seed.

The public API. Names are imported when they are first used, so that `import hpo` is quick.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpo.api import (
        Comparison,
        Decomposition,
        Diagnosis,
        Instability,
        PromotionOutcome,
        PromotionReport,
        ReplayOutcome,
        SearchOutcome,
        StudyReader,
        Verification,
        Verified,
        check,
        compare,
        decompose,
        diagnose,
        import_trials,
        instability,
        load,
        load_study,
        pause,
        promote,
        rank_stored,
        replay,
        resume,
        run,
        show,
        status,
        stop,
        verify,
        write_report,
    )
    from hpo.core.errors import HpoError, StudyInvalid, TrainableError, UsageError
    from hpo.core.installed import install_line
    from hpo.core.protocols import DONE, WAIT, Backend, Decision, JobSource, Observer, Resources, Tell, TrainableRef
    from hpo.core.records import Evaluation, Job, Metrics, Objective, Report, Stage, Status
    from hpo.core.run_config import RunConfig
    from hpo.search.ask_tell import Search
    from hpo.search.mixed import MixedSampler
    from hpo.seeds.current import seeded
    from hpo.seeds.streams import Stream, Streams
    from hpo.stats.ranking import Candidate, Ranking, rank
    from hpo.stats.scoring import Rule
    from hpo.study import Study, Trial
    from hpo.study.building import maximize, minimize
    from hpo.study.hooks import TrainableHooks
    from hpo.study.space import Choice, Float, Int
    from hpo.training import Context, KerasState

_MODULES = {
    "hpo.api": (
        "Comparison",
        "Decomposition",
        "Diagnosis",
        "Instability",
        "PromotionOutcome",
        "PromotionReport",
        "ReplayOutcome",
        "SearchOutcome",
        "StudyReader",
        "Verification",
        "Verified",
        "check",
        "compare",
        "decompose",
        "diagnose",
        "import_trials",
        "instability",
        "load",
        "load_study",
        "pause",
        "promote",
        "rank_stored",
        "replay",
        "resume",
        "run",
        "show",
        "status",
        "stop",
        "verify",
        "write_report",
    ),
    "hpo.core.installed": ("install_line",),
    "hpo.core.errors": ("HpoError", "StudyInvalid", "TrainableError", "UsageError"),
    "hpo.core.run_config": ("RunConfig",),
    "hpo.stats.ranking": ("Candidate", "Ranking", "rank"),
    "hpo.core.records": ("Evaluation", "Job", "Metrics", "Objective", "Report", "Stage", "Status"),
    "hpo.stats.scoring": ("Rule",),
    "hpo.search.ask_tell": ("Search",),
    "hpo.search.mixed": ("MixedSampler",),
    "hpo.seeds.current": ("seeded",),
    "hpo.core.protocols": (
        "Backend",
        "DONE",
        "Decision",
        "JobSource",
        "Observer",
        "Resources",
        "Tell",
        "TrainableRef",
        "WAIT",
    ),
    "hpo.seeds.streams": ("Stream", "Streams"),
    "hpo.study": ("Study", "Trial"),
    "hpo.study.building": ("maximize", "minimize"),
    "hpo.study.hooks": ("TrainableHooks",),
    "hpo.study.space": ("Choice", "Float", "Int"),
    "hpo.training": ("Context", "KerasState"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "DONE",
    "WAIT",
    "Backend",
    "Candidate",
    "Choice",
    "Comparison",
    "Context",
    "Decision",
    "Decomposition",
    "Diagnosis",
    "Evaluation",
    "Float",
    "HpoError",
    "Instability",
    "Int",
    "Job",
    "JobSource",
    "KerasState",
    "Metrics",
    "MixedSampler",
    "Objective",
    "Observer",
    "PromotionOutcome",
    "PromotionReport",
    "Ranking",
    "ReplayOutcome",
    "Report",
    "Resources",
    "Rule",
    "RunConfig",
    "Search",
    "SearchOutcome",
    "Stage",
    "Status",
    "Stream",
    "Streams",
    "Study",
    "StudyInvalid",
    "StudyReader",
    "Tell",
    "TrainableError",
    "TrainableHooks",
    "TrainableRef",
    "Trial",
    "UsageError",
    "Verification",
    "Verified",
    "check",
    "compare",
    "decompose",
    "diagnose",
    "import_trials",
    "instability",
    "install_line",
    "load",
    "load_study",
    "maximize",
    "minimize",
    "pause",
    "promote",
    "rank",
    "rank_stored",
    "replay",
    "resume",
    "run",
    "seeded",
    "show",
    "status",
    "stop",
    "verify",
    "write_report",
]


_RENAMED = {"Place": "RunConfig", "Source": "JobSource"}
"""Old names, which still work with a warning."""


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        warnings.warn(f"hpo.{name} was renamed to hpo.{_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'hpo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
