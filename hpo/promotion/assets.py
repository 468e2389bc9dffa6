"""`assets`: what a report needs of the newest promotion."""

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
    """Writes the pictures, tables and words for a report of a promotion's winner.

    Args:
        study: or its name.
        config: where it is kept and its results are.
        out: folder of the files.
        results: the winner's folders; none: those of the newest promotion.
        prefix: of the files' names; None: the last part of the study's name, `density` for `unet-density`.
        ddof: of the sigmas; None: the promotion's.
        force: whether the files of another promotion may be replaced.

    Returns:
        The files.

    Raises:
        NothingToPromote: if nothing was promoted and no results are named.
        UsageError: if the results cannot be used.
        OutputRefused: if `out` cannot be written, or has another promotion's files.
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
