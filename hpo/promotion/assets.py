"""`assets`: pictures, tables and texts of the newest promotion for a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpo.core.errors import NothingToPromote
from hpo.core.run_config import RunConfig
from hpo.driver.session import resolve_study
from hpo.driver.storage import storage, stored_study
from hpo.results import write_assets
from hpo.stats.names import Ddof
from hpo.study import Study


def assets(
    study: Study | str,
    config: RunConfig | None = None,
    *,
    out: Path,
    results: Sequence[Path] = (),
    prefix: str | None = None,
    ddof: Ddof | None = None,
    force: bool = False,
) -> tuple[Path, ...]:
    """Writes pictures, tables and texts of a promotion's winner for a report.

    Args:
        study: the study itself, or its name.
        config: where the study is stored and its results are; None: the defaults.
        out: folder that receives the files.
        results: the winner's results folders; empty: those of the newest promotion.
        prefix: prefix of the file names; None: the last part of the study's name, `density` for `unet-density`.
        ddof: ddof of the sigmas; None: the promotion's.
        force: whether files of another promotion may be overwritten.

    Returns:
        The paths of the files.

    Raises:
        NothingToPromote: if nothing was promoted and no results are given.
        UsageError: if the results cannot be used.
        OutputRefused: if `out` cannot be written, or has files of another promotion.
    """
    study, config = resolve_study(study, to_train=False), config or RunConfig()
    if not results:
        with storage(config.storage) as (store, _durable):
            promotion = store.promotion(stored_study(store, study.name))
        if promotion is None or not promotion.results:
            raise NothingToPromote(
                f"study {study.name!r} has no results to make assets of; make them with: "
                f"hpo promote --study {study.name}"
            )
        results = [config.outputs / study.name / name for name in promotion.results]
    return write_assets(results, out, prefix=prefix or study.name.rpartition("-")[2], ddof=ddof, force=force)
