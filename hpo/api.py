"""The functions behind the commands; the command line is a thin layer over them."""

from hpo.analysis.compare import Comparison, compare
from hpo.analysis.decompose import decompose
from hpo.analysis.decomposition import Decomposition
from hpo.analysis.diagnose import Diagnosis, diagnose
from hpo.analysis.instability import Instability, instability
from hpo.analysis.options import DecomposeOptions, DiagnoseOptions, ReplayOptions, VerifyOptions
from hpo.analysis.reading import StudyReader, load
from hpo.analysis.replay import ReplayOutcome, Replays, replay
from hpo.analysis.verify import Verification, Verified, verify
from hpo.driver.clean import CleanedStudy, clean
from hpo.driver.control import ControlOutcome, pause, resume, stop
from hpo.driver.data import audit, write_embeddings, write_phantoms
from hpo.driver.doctor import Finding, doctor
from hpo.driver.from_ray import init_from_ray
from hpo.driver.from_wandb import init_from_wandb
from hpo.driver.init import InitOutcome, init
from hpo.driver.logs import logs
from hpo.driver.manage import StudySummary, copy, delete, rename, summarize_study
from hpo.driver.options import (
    AuditOptions,
    CleanOptions,
    DeleteOptions,
    EmbedOptions,
    LogsOptions,
    PhantomOptions,
    StopOptions,
    SubmitOptions,
)
from hpo.driver.status import Progress, check, show, status, studies
from hpo.driver.submit import SubmitOutcome, submit
from hpo.driver.trials import TrialTable, trials
from hpo.driver.workers import Workers
from hpo.promotion.assets import assets
from hpo.promotion.objective import promote
from hpo.promotion.options import AssetsOptions, PromotionOptions, RuleOptions
from hpo.promotion.promote import PromotionOutcome
from hpo.promotion.rank import rank_stored
from hpo.promotion.report import Confirmation, PromotionReport
from hpo.promotion.select import (
    check_promotion,
    epochs_of_search,
    races,
    share_of_search,
    split_of,
    trainings_of_promotion,
    with_seeds,
)
from hpo.search.from_optuna import init_from_optuna
from hpo.search.import_trials import ImportOutcome, import_trials
from hpo.search.like import init_like
from hpo.search.options import ImportOptions, SearchOptions
from hpo.search.plugins import doubts, notes
from hpo.search.run import SearchOutcome, read_configurations, run
from hpo.search.split import Split
from hpo.serve.views import study_view, write_report
from hpo.study import json_schema
from hpo.study.loading import load_study

__all__ = [
    "AssetsOptions",
    "AuditOptions",
    "CleanOptions",
    "CleanedStudy",
    "Comparison",
    "Confirmation",
    "ControlOutcome",
    "DecomposeOptions",
    "Decomposition",
    "DeleteOptions",
    "DiagnoseOptions",
    "Diagnosis",
    "EmbedOptions",
    "Finding",
    "ImportOptions",
    "ImportOutcome",
    "InitOutcome",
    "Instability",
    "LogsOptions",
    "PhantomOptions",
    "Progress",
    "PromotionOptions",
    "PromotionOutcome",
    "PromotionReport",
    "ReplayOptions",
    "ReplayOutcome",
    "Replays",
    "RuleOptions",
    "SearchOptions",
    "SearchOutcome",
    "Split",
    "StopOptions",
    "StudyReader",
    "StudySummary",
    "SubmitOptions",
    "SubmitOutcome",
    "TrialTable",
    "Verification",
    "Verified",
    "VerifyOptions",
    "Workers",
    "assets",
    "audit",
    "check",
    "check_promotion",
    "clean",
    "compare",
    "copy",
    "decompose",
    "delete",
    "diagnose",
    "doctor",
    "doubts",
    "epochs_of_search",
    "import_trials",
    "init",
    "init_from_optuna",
    "init_from_ray",
    "init_from_wandb",
    "init_like",
    "instability",
    "json_schema",
    "load",
    "load_study",
    "logs",
    "notes",
    "pause",
    "promote",
    "races",
    "rank_stored",
    "read_configurations",
    "rename",
    "replay",
    "resume",
    "run",
    "share_of_search",
    "show",
    "split_of",
    "status",
    "stop",
    "studies",
    "study_view",
    "submit",
    "summarize_study",
    "trainings_of_promotion",
    "trials",
    "verify",
    "with_seeds",
    "write_embeddings",
    "write_phantoms",
    "write_report",
]
