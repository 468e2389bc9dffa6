"""What there is to see of the studies in a storage, as plain values: for pages, a report and the HTTP interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from hpo.analysis.curves import Curve, curve_of
from hpo.core.errors import NothingToPromote, UsageError
from hpo.core.files import explain_write_errors, write_text
from hpo.core.records import Evaluation, Stage
from hpo.core.redaction import masked
from hpo.core.run_config import RunConfig
from hpo.driver.cross_validation import join_folds
from hpo.driver.status import Progress, as_stored, external_of, progress, trials_of
from hpo.driver.storage import storage, stored_study
from hpo.promotion.decide import decide
from hpo.promotion.options import RuleOptions
from hpo.promotion.rank import newest_report
from hpo.promotion.report import PromotionReport
from hpo.promotion.select import rule_of
from hpo.promotion.sentences import certainty_text
from hpo.serve.outputs import Results, newest_decomposition, results_in
from hpo.serve.pages import board_page
from hpo.stats.confidence import AS_IT_IS
from hpo.stats.names import Ddof, RuleName
from hpo.stats.ranking import Candidate
from hpo.stats.statistics import c4, sigma_error
from hpo.store import Store, StoredPromotion, StoredStudy
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import Study, Trial

LARGEST_FILE = 512_000_000
"""Bytes. A larger file of a result is listed, and not handed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A kind of alert that replicates of one trial raised.

    Attributes:
        trial: number of the trial that raised them.
        kind: of the alert.
        messages: what each replicate saw that raised it, by seed.
    """

    trial: int
    kind: str
    messages: Mapping[str, str]

    @property
    def seeds(self) -> tuple[str, ...]:
        """Of the replicates that raised it."""
        return tuple(self.messages)

    @property
    def said(self) -> tuple[str, ...]:
        """What was seen, with the seeds under which: one text for all that saw the same."""
        by_message: dict[str, list[str]] = {}
        for seed, message in self.messages.items():
            by_message.setdefault(message, []).append(seed)
        return tuple(f"under seed {', '.join(seeds)}: {message}" for message, seeds in by_message.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """All that is shown of one study.

    Attributes:
        study: as it was last run.
        progress: how it stands.
        report: of the newest promotion, or of one that is under way; None if there is neither.
        is_final: whether the report is of a promotion that was made; else replicates may be missing.
        curves: of the replicates.
        alerts: that the replicates raised, by trial and kind.
        results: the newest promotion's.
        decomposition: the newest, as `hpo seeds decompose` wrote it; None if there is none.
    """

    study: Study
    progress: Progress
    report: PromotionReport | None
    is_final: bool
    curves: tuple[Curve, ...]
    alerts: tuple[Raised, ...]
    results: tuple[Results, ...]
    decomposition: Mapping[str, object] | None

    def values(self) -> dict[str, object]:
        """Returns all of it as plain values."""
        report = self.report
        return {
            "study": self.study.name,
            "progress": self.progress.plain(),
            "is_final": self.is_final,
            "promotion": report.plain() if report else None,
            "sentences": self.sentences,
            "warnings": list(report.warnings) if report else [],
            "sigma_error": sigma_error(len(report.ranking.seeds)) if report else None,
            "unbiasing": c4(len(report.ranking.seeds)) if report and len(report.ranking.seeds) > 1 else None,
            "winner_under": {
                name: trial for name, trial in (report.certainty.winners if report else {}).items() if name != AS_IT_IS
            },
            "curves": [asdict(one) for one in self.curves],
            "alerts": [{**asdict(one), "seeds": list(one.seeds), "said": list(one.said)} for one in self.alerts],
            "results": [asdict(one) for one in self.results],
            "decomposition": self.decomposition,
        }

    @property
    def sentences(self) -> list[str]:
        """Who won and how sure that is, or what to do to know it."""
        if self.report is None:
            return [f"Nothing was promoted yet: hpo promote --study {self.study.name}"]
        if not self.is_final:
            done, count = (
                sum(len(row.candidate.values) for row in self.report.ranking.rows),
                len(self.report.ranking.rows),
            )
            return [f"A promotion is under way: {done} replicates of {count} candidates so far. Nothing is decided."]
        return certainty_text(self.report).split("\n")


class StudyViews:
    """The studies of one storage, opened once and read as often as one likes, from several threads.

    Args:
        store: our tables in the database.
        durable: Optuna's studies in the same database.
        outputs: folder that has `<study>/results_N`.
    """

    def __init__(self, store: Store, durable: OptunaStudies, outputs: Path) -> None:
        self.durable = durable
        self._store, self._outputs = store, outputs

    @property
    def said(self) -> str:
        """The storage's URL without its password."""
        return masked(self._store.url)

    def studies(self) -> list[Progress]:
        """Returns how every study stands, the oldest first."""
        return [progress(stored_study(self._store, name), self._store, self.durable) for name in self._store.names()]

    def promotions(self) -> dict[str, StoredPromotion]:
        """Returns the newest promotion of every study that has one, by the study's name."""
        found = {name: self._store.promotion(stored_study(self._store, name)) for name in self._store.names()}
        return {name: promotion for name, promotion in found.items() if promotion is not None}

    def progress(self, name: str) -> Progress:
        """Returns how one study stands."""
        return progress(self._stored(name), self._store, self.durable)

    def study(self, name: str) -> Study:
        """Returns a study as it was last run."""
        return as_stored(self._stored(name))

    def trials(self, name: str, offset: int, limit: int) -> list[Trial]:
        """Returns trials by number."""
        self._stored(name)
        return trials_of(self.durable, name)[offset : offset + limit]

    def trial(self, name: str, number: int) -> tuple[Trial, list[Evaluation]]:
        """Returns one trial with all its evaluations."""
        stored, study = self._stored(name), self.durable.find(name)
        found = study.trial(number) if study else None
        if found is None:
            count = len(trials_of(self.durable, name))
            raise NotThere(f"study {name!r} has {count} trials; there is no trial {number}")
        return found, self._store.evaluations(stored, trial=number)

    def ranking(
        self, name: str, rule: RuleName | None = None, lambda_: float | None = None, ddof: Ddof | None = None
    ) -> PromotionReport:
        """Returns the newest promotion, ranked anew.

        Raises:
            NotThere: if there is none.
        """
        stored = self._stored(name)
        study = as_stored(stored)
        try:
            score = rule_of(study, RuleOptions(rule=rule, lambda_=lambda_, ddof=ddof))
            return newest_report(study, stored, self._store, score, self.durable)
        except NothingToPromote as error:
            raise NotThere(str(error)) from error

    def board(self, name: str) -> StudyView:
        """Returns all that is shown of a study."""
        stored = self._stored(name)
        study, now = as_stored(stored), progress(stored, self._store, self.durable)
        replicates = join_folds(self._store.evaluations(stored, Stage.PROMOTION), study)
        report, is_final = self._report(study, stored, replicates)
        wanted = {row.candidate.trial for row in report.ranking.rows} if report else set()
        return StudyView(
            study=study,
            progress=now,
            report=report,
            is_final=is_final,
            curves=tuple(
                curve
                for one in replicates
                if one.job.trial in wanted
                for curve in curve_of(one, study.objective.metric)
            ),
            alerts=raised(one for one in replicates if one.job.trial in wanted),
            results=tuple(self.results(name, now.results)) if is_final else (),
            decomposition=newest_decomposition(self._outputs / name),
        )

    def results(self, name: str, folders: Sequence[str] | None = None) -> Iterator[Results]:
        """Yields the newest promotion's folders that are there.

        Args:
            name: of the study.
            folders: their names, if they are known.
        """
        for folder in folders if folders is not None else self.progress(name).results:
            path = self._inside(name, folder)
            if path is not None and path.is_dir():
                yield results_in(path)

    def file(self, name: str, folder: str, path: str) -> Path:
        """Returns a file of the newest promotion's results.

        Raises:
            NotThere: if it is none of them, whatever the path says.
        """
        listed = next((one for one in self.results(name) if one.name == folder), None)
        if listed is None or path not in {file.path for file in listed.files if file.is_served}:
            raise NotThere(f"{folder}/{path} is no file of the newest results of study {name!r}")
        found = (self._outputs / name / folder / path).resolve()
        if found.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{folder}/{path} is larger than {LARGEST_FILE // 10**6} MB; copy it from {found.parent}")
        return found

    def _inside(self, name: str, folder: str) -> Path | None:
        """Returns a results folder without links in its path, None where it does not lie in the outputs."""
        if Path(folder).name != folder:
            return None
        found = (self._outputs / name / folder).resolve()
        return found if found.is_relative_to(self._outputs.resolve()) else None

    def _stored(self, name: str) -> StoredStudy:
        try:
            return stored_study(self._store, name)
        except UsageError as error:
            raise NotThere(str(error)) from error

    def _report(
        self, study: Study, stored: StoredStudy, replicates: Sequence[Evaluation]
    ) -> tuple[PromotionReport | None, bool]:
        """Returns the newest promotion; while there is none, what is known of one under way."""
        with suppress(NothingToPromote):
            score = rule_of(study, RuleOptions())
            return newest_report(study, stored, self._store, score, self.durable), True
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
        decision = decide(candidates, replicates, rule, objective=study.objective, seeds=seeds)
        return PromotionReport.of(study, decision, replicates, external=external), False


class NotThere(UsageError):
    """What was asked for by its name does not exist."""


@contextmanager
def study_views(config: RunConfig, *, writes: bool = False) -> Iterator[StudyViews]:
    """Opens a storage to look at its studies again and again.

    Args:
        config: where the studies are stored.
        writes: whether notes and attributes of Optuna's studies are to be written.

    Raises:
        StorageUnavailable: if there is none.
    """
    with storage(config.storage, writes=writes, cached=True) as (store, durable):
        yield StudyViews(store, durable, Path(config.outputs).absolute())


def write_report(
    study: str, config: RunConfig, *, out: Path | None = None, kind: Literal["html", "md", "latex"] = "html"
) -> Path:
    """Writes one file that shows a study and returns its path.

    Args:
        study: its name, or the path of its file.
        config: where it is stored.
        out: the file; None: `report.html`, `.md` or `.tex` in the study's outputs.
        kind: a page with everything, or the tables of the newest promotion.

    Raises:
        UsageError: if the storage has no such study.
        NothingToPromote: if tables are wanted and there is no promotion.
        OutputRefused: if the file cannot be written.
    """
    name = Path(study).name.removesuffix(".toml")
    found = board(name, config)
    if kind == "html":
        text = board_page(found, live=False)
    elif found.report is None or not found.is_final:
        raise NothingToPromote(f"study {name!r} has no promotion yet; make one with: hpo promote --study {name}")
    else:
        text = found.report.markdown() if kind == "md" else found.report.latex()
    path = out or config.outputs / name / f"report.{'tex' if kind == 'latex' else kind}"
    with explain_write_errors(path):
        write_text(path, text)
    return path.absolute()


def board(name: str, config: RunConfig) -> StudyView:
    """Returns all that is shown of one study.

    Raises:
        UsageError: if the storage has no such study.
    """
    with study_views(config) as found:
        return found.board(name)


def raised(replicates: Iterable[Evaluation]) -> tuple[Raised, ...]:
    """Returns the alerts of replicates by trial and kind, each once however many folds raised it."""
    found: dict[tuple[int, str], dict[str, str]] = {}
    for one in replicates:
        for alert in one.alerts:
            found.setdefault((one.job.trial, alert.kind), {}).setdefault(one.job.seed_text, alert.message)
    return tuple(Raised(trial=trial, kind=kind, messages=said) for (trial, kind), said in sorted(found.items()))
