"""`assets`: pictures, tables and texts of the newest promotion for a report."""

from __future__ import annotations

from pathlib import Path

from hpo.core.errors import NothingToPromote
from hpo.core.run_config import RunConfig
from hpo.driver.options import accepts_options
from hpo.driver.session import resolve_study
from hpo.driver.storage import storage, stored_study
from hpo.promotion.options import AssetsOptions
from hpo.results import write_assets
from hpo.study import Study


@accepts_options(AssetsOptions)
def assets(study: Study | str, config: RunConfig | None, options: AssetsOptions) -> tuple[Path, ...]:
    """Writes pictures, tables and texts of a promotion's winner for a report.

    Args:
        study: the study itself, or its name.
        config: where the study is stored and its results are; None: the defaults.
        options: which results, and where the files are written.

    Returns:
        The paths of the files.

    Raises:
        NothingToPromote: if nothing was promoted and no results are given.
        UsageError: if the results cannot be used.
        OutputRefused: if `out` cannot be written, or has files of another promotion.
    """
    study, config = resolve_study(study, to_train=False), config or RunConfig()
    results = options.results
    if not results:
        with storage(config.storage) as (store, _durable):
            promotion = store.promotion(stored_study(store, study.name))
        if promotion is None or not promotion.results:
            raise NothingToPromote(
                f"study {study.name!r} has no results to make assets of; make them with: "
                f"hpo promote --study {study.name}"
            )
        results = [config.outputs / study.name / name for name in promotion.results]
    prefix = options.prefix or study.name.rpartition("-")[2]
    return write_assets(results, options.out, prefix=prefix, ddof=options.ddof, force=options.force)
