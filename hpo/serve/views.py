"""Views of the studies in a storage: the data of the pages, the report and the HTTP API."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from hpo.analysis.curves import curve_of
from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.files import explain_write_errors, write_text
from hpo.core.records import Evaluation, Stage, Status
from hpo.core.redaction import masked
from hpo.core.run_config import RunConfig
from hpo.driver.cross_validation import join_folds
from hpo.driver.status import Progress, as_stored, external_of, progress, trials_of
from hpo.driver.storage import storage, stored_study
from hpo.promotion.decide import decide
from hpo.promotion.fronts import front_report
from hpo.promotion.options import RuleOptions
from hpo.promotion.rank import newest_report
from hpo.promotion.report import PromotionReport
from hpo.promotion.select import rule_of
from hpo.search.importance import importances
from hpo.serve.listing import ListedStudy
from hpo.serve.outputs import ResultsFolder, newest_decomposition, read_results
from hpo.serve.pages import study_page
from hpo.serve.study_view import StudyView, alert_groups
from hpo.stats.names import Ddof, RuleName
from hpo.stats.ranking import Candidate
from hpo.store import Store, StoredPromotion, StoredStudy
from hpo.store.costs import spent_by_stage
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.store.running import running_of
from hpo.study import Study, Trial

FEWEST_TRIALS = 8
"""Least number of complete trials for an importance of params."""

MAX_FILE_BYTES = 512_000_000
"""Maximum size of a served result file in bytes; larger files are only listed."""


class StudyViews:
    """Views of the studies of one storage, which stays open; several threads may read them.

    Args:
        store: our tables in the database.
        durable: Optuna's studies in the same database.
        outputs: folder that contains `<study>/results_N`.
    """

    def __init__(self, store: Store, durable: OptunaStudies, outputs: Path) -> None:
        self.durable = durable
        self._store, self._outputs = store, outputs
        self._importance: dict[str, tuple[tuple[int, ...], dict[str, float]]] = {}  # with the trials that it is of

    @property
    def storage_url(self) -> str:
        """URL of the storage without its password."""
        return masked(self._store.url)

    def studies(self) -> list[Progress]:
        """Returns the progress of every study, the oldest first."""
        return [progress(stored_study(self._store, name), self._store, self.durable) for name in self._store.names()]

    def names(self) -> list[str]:
        """Returns the names of all studies, the oldest first."""
        return self._store.names()

    def listed(self) -> list[ListedStudy]:
        """Returns the list of studies, the oldest first."""
        found = []
        for name in self._store.names():
            stored, durable = self._stored(name), self.durable.find(name)
            found.append(
                ListedStudy(
                    progress=progress(stored, self._store, self.durable),
                    study=as_stored(stored),
                    trials=tuple(durable.trials()) if durable else (),
                    archived=durable.archived if durable else False,
                    promotion=self._store.promotion(stored),
                )
            )
        return found

    def promotions(self) -> dict[str, StoredPromotion]:
        """Returns the newest promotion of every study that has one, by the study's name."""
        found = {name: self._store.promotion(stored_study(self._store, name)) for name in self._store.names()}
        return {name: promotion for name, promotion in found.items() if promotion is not None}

    def progress(self, name: str) -> Progress:
        """Returns the progress of one study."""
        return progress(self._stored(name), self._store, self.durable)

    def study(self, name: str) -> Study:
        """Returns a study as last run."""
        return as_stored(self._stored(name))

    def trials(self, name: str, offset: int, limit: int) -> list[Trial]:
        """Returns trials in order of their numbers.

        Args:
            name: name of the study.
            offset: number of trials to skip.
            limit: maximum number of trials.
        """
        self._stored(name)
        return trials_of(self.durable, name)[offset : offset + limit]

    def trial(self, name: str, number: int) -> tuple[Trial, list[Evaluation]]:
        """Returns one trial with all its evaluations."""
        stored, study = self._stored(name), self.durable.find(name)
        found = study.trial(number) if study else None
        if found is None:
            count = len(trials_of(self.durable, name))
            raise NotFound(f"study {name!r} has {count} trials; there is no trial {number}")
        return found, self._store.evaluations(stored, trial=number)

    def ranking(
        self, name: str, rule: RuleName | None = None, lambda_: float | None = None, ddof: Ddof | None = None
    ) -> PromotionReport:
        """Returns the newest promotion, ranked again.

        Args:
            name: name of the study.
            rule: rule of the score; None: the promotion's.
            lambda_: weight of sigma; None: the promotion's.
            ddof: convention of sigma; None: the promotion's.

        Raises:
            NotFound: if there is no promotion.
        """
        stored = self._stored(name)
        study = as_stored(stored)
        try:
            score = rule_of(study, RuleOptions(rule=rule, lambda_=lambda_, ddof=ddof))
            return newest_report(study, stored, self._store, score, self.durable, self._outputs / study.name)
        except NothingToPromote as error:
            raise NotFound(str(error)) from error

    def view(self, name: str) -> StudyView:
        """Returns the view of a study."""
        stored = self._stored(name)
        study, now = as_stored(stored), progress(stored, self._store, self.durable)
        replicates = join_folds(self._store.evaluations(stored, Stage.PROMOTION), study)
        report, is_final = self._report(study, stored, replicates)
        candidates = {row.candidate.trial for row in report.ranking.rows} if report else set()
        trials = trials_of(self.durable, name)
        external = [one.trial for one in external_of(self.durable, name)]
        return StudyView(
            study=study,
            progress=now,
            report=report,
            is_final=is_final,
            curves=tuple(
                curve
                for one in replicates
                if one.job.trial in candidates
                for curve in curve_of(one, study.objective.metric)
            ),
            alerts=alert_groups(one for one in replicates if one.job.trial in candidates),
            results=tuple(self.results(name, now.results)) if is_final else (),
            decomposition=newest_decomposition(self._outputs / name),
            trials=(*trials, *external),
            importance=self._importance_of(study, trials),
            stages=self._store.read(lambda one: spent_by_stage(one, stored.id)),
            seconds=mean_seconds(one for one in replicates if one.job.trial in candidates),
            replicates=tuple(one for one in running_of(self._store, stored) if one.stage is not Stage.SEARCH),
        )

    def _importance_of(self, study: Study, trials: Sequence[Trial]) -> dict[str, float]:
        """Returns the importance of the params for the value, the largest first; empty with too few trials."""
        known = {
            one.number: one.value
            for one in trials
            if one.state == "complete" and one.value is not None and math.isfinite(one.value)
        }
        if study.objective.others or len(known) < FEWEST_TRIALS or len(set(known.values())) < 2 or len(study.space) < 2:
            return {}
        found = self._importance.get(study.name)
        if found is None or found[0] != tuple(known):
            durable = self.durable.find(study.name)
            assert durable is not None  # it has trials
            found = tuple(known), importances(durable, known, study.objective.direction)
            self._importance[study.name] = found
        return found[1]

    def results(self, name: str, folders: Sequence[str] | None = None) -> Iterator[ResultsFolder]:
        """Yields the existing results folders of the newest promotion.

        Args:
            name: name of the study.
            folders: names of the folders; None: they are looked up.
        """
        for folder in folders if folders is not None else self.progress(name).results:
            path = self._inside(name, folder)
            if path is not None and path.is_dir():
                yield read_results(path)

    def file(self, name: str, folder: str, path: str) -> Path:
        """Returns the path of a file in the newest promotion's results.

        Args:
            name: name of the study.
            folder: name of the results folder.
            path: path of the file relative to the folder.

        Raises:
            NotFound: if the results have no such file.
            UsageError: if the file is too large.
        """
        listed = next((one for one in self.results(name) if one.name == folder), None)
        if listed is None or path not in {file.path for file in listed.files if file.is_served}:
            raise NotFound(f"the newest results of study {name!r} have no file {folder}/{path}")
        local = (self._outputs / name / folder / path).resolve()
        if local.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(
                f"{folder}/{path} is larger than {MAX_FILE_BYTES // 10**6} MB; copy it from {local.parent}"
            )
        return local

    def _inside(self, name: str, folder: str) -> Path | None:
        """Returns the resolved path of a results folder; None if it is outside the outputs."""
        if Path(folder).name != folder:
            return None
        resolved = (self._outputs / name / folder).resolve()
        return resolved if resolved.is_relative_to(self._outputs.resolve()) else None

    def _stored(self, name: str) -> StoredStudy:
        try:
            return stored_study(self._store, name)
        except UsageError as error:
            raise NotFound(str(error)) from error

    def _report(
        self, study: Study, stored: StoredStudy, replicates: Sequence[Evaluation]
    ) -> tuple[PromotionReport | None, bool]:
        """Returns the newest promotion and True; if there is none, a running one and False."""
        with suppress(NothingToPromote):
            score = rule_of(study, RuleOptions())
            return newest_report(study, stored, self._store, score, self.durable, self._outputs / study.name), True
        seeds = study.promotion.seeds
        known: dict[int, dict[int, float | None]] = {}
        for one in replicates:
            if one.job.seed in seeds and not one.job.variant:
                known.setdefault(one.job.trial, {})[one.job.seed] = one.value
        if not known:
            return None, False
        external = external_of(self.durable, study.name)
        trials = [*trials_of(self.durable, study.name), *(one.trial for one in external)]
        searched = {trial.number: trial.value for trial in trials}
        candidates = [
            Candidate(trial=trial, values=values, search_value=searched.get(trial)) for trial, values in known.items()
        ]
        rule = rule_of(study, RuleOptions())
        if study.objective.others:
            return front_report(study, candidates, replicates, rule, seeds=seeds, searched=trials), False
        decision = decide(candidates, replicates, rule, objective=study.objective, seeds=seeds)
        return PromotionReport.of(study, decision, replicates, external=external), False


class NotFound(UsageError):
    """A requested study, trial or file does not exist."""


@contextmanager
def study_views(config: RunConfig, *, writes: bool = False) -> Iterator[StudyViews]:
    """Opens a storage and returns views of its studies.

    Args:
        config: storage of the studies.
        writes: whether notes and attributes of Optuna's studies will be written.

    Raises:
        StorageUnavailable: if there is no storage.
    """
    with storage(config.storage, writes=writes, cached=True) as (store, durable):
        yield StudyViews(store, durable, Path(config.outputs).absolute())


def write_report(
    study: str, config: RunConfig, *, out: Path | None = None, kind: Literal["html", "md", "latex"] = "html"
) -> Path:
    """Writes a report on a study as one file and returns its path.

    Args:
        study: name of the study, or path of its file.
        config: storage of the study.
        out: path of the report; None: `report.html`, `.md` or `.tex` in the study's outputs.
        kind: `html`: a page with everything; `md` or `latex`: the tables of the newest promotion.

    Raises:
        UsageError: if the storage has no such study.
        NothingToPromote: if tables are requested and there is no promotion.
        OutputRefused: if the file cannot be written.
    """
    name = Path(study).name.removesuffix(".toml")
    view = study_view(name, config)
    if kind == "html":
        text = study_page(view, live=False)
    elif view.report is None or not view.is_final:
        raise NothingToPromote(f"study {name!r} has no promotion yet; make one with: hpo promote --study {name}")
    else:
        text = view.report.markdown() if kind == "md" else view.report.latex()
    path = out or config.outputs / name / f"report.{'tex' if kind == 'latex' else kind}"
    with explain_write_errors(path):
        write_text(path, text)
    return path.absolute()


def study_view(name: str, config: RunConfig) -> StudyView:
    """Returns the view of one study.

    Args:
        name: name of the study.
        config: storage of the study.

    Raises:
        UsageError: if the storage has no such study.
    """
    with study_views(config) as views:
        return views.view(name)


def mean_seconds(replicates: Iterable[Evaluation]) -> dict[int, float]:
    """Returns the mean seconds of complete replicates, by trial; those of its folds together are one replicate's."""
    found: dict[int, list[float]] = {}
    for one in replicates:
        if one.status is Status.COMPLETE and not one.job.variant:
            found.setdefault(one.job.trial, []).append(sum(training.seconds for training in one.trainings))
    return {trial: sum(seconds) / len(seconds) for trial, seconds in found.items()}
