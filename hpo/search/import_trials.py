"""`import`: another Optuna study's finished trials, as what a search knows from its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.core.errors import UsageError
from hpo.core.run_config import RunConfig
from hpo.driver.options import accepts_options
from hpo.driver.session import RunContext, Session, resolve_study
from hpo.search.imports import chosen, raise_unusable
from hpo.search.options import ImportOptions
from hpo.search.reading import read_source
from hpo.search.table_import import Columns
from hpo.study import Study
from hpo.study.objective import require_one_objective


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOutcome:
    """What an import came to.

    Attributes:
        study: that knows more now.
        source: of the trials, without a password.
        source_study: which study they were.
        imported: how many of its trials the study has now.
        new: how many of those it did not have before.
        left_out: why each other trial could not be used, by its number there.
        first_step: lowest step at which the other study's trials reported, as counted there; None if none reported.
        last_step: highest step that was imported, counted from 1; None if there is none.
        moved: what was added to each step: 1 where the other study counts them from 0.
        recognized: what was read of a table, as phrases; empty for an Optuna storage.
    """

    study: Study
    source: str
    source_study: str
    imported: int
    new: int
    left_out: Mapping[int, str]
    first_step: int | None
    last_step: int | None
    moved: int = 0
    recognized: tuple[str, ...] = ()


@accepts_options(ImportOptions)
def import_trials(study: Study | str, config: RunConfig | None, options: ImportOptions) -> ImportOutcome:
    """Gives a study that has not begun the finished trials of another Optuna study; nothing is written there.

    They inform the sampler and the pruner. They are none of the study's own: nothing says which seed they had, so they
    count nowhere, and are neither incumbent nor candidates. The same import again adds what is missing.

    Args:
        study: or its name.
        config: where the study is stored; None: the defaults.
        options: where the trials are, and how they are read.

    Raises:
        UsageError: if there is no such study, its trials cannot be used, or this one has begun.
        StorageUnavailable: if there is no such storage.
    """
    study = resolve_study(study)
    require_one_objective(study, "hpo import")
    columns = Columns(value=options.source_value, params=options.source_params or {})
    foreign = read_source(study, options.source, options.source_study, columns)
    taken, left_out = chosen(study, foreign)
    if not taken:
        raise_unusable(study, foreign, left_out)
    context = RunContext.of(study, config, options)
    with Session.open(study, context, create=True) as session, session.drive("import"):
        if any(trial.state != "imported" for trial in session.durable.trials()):
            raise UsageError(
                f"study {study.name!r} has begun: what its trials were proposed from cannot change any more. "
                "Import before the first run, or under another name"
            )
        session.tell(f"importing {len(taken)} trials from {foreign.source}")
        new = session.durable.import_trials(foreign.origin, taken)
    return ImportOutcome(
        study=study,
        source=foreign.source,
        source_study=foreign.study,
        imported=len(taken),
        new=new,
        left_out=left_out,
        first_step=foreign.first_step,
        last_step=max((step for trial in taken for step in trial.intermediate_values), default=None),
        moved=foreign.step_offset,
        recognized=foreign.recognized,
    )
