"""Report assets of a promotion's results: figures by seed, tables over the seeds, and a text about them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hpo.core.errors import OutputRefused, UsageError
from hpo.core.files import atomic_write, explain_write_errors, read_json, write_text
from hpo.results.ensemble import read_ensemble
from hpo.results.plain import csv_text, json_text, latex
from hpo.results.summary import SECTION
from hpo.stats.classification import NAMES, UNIT
from hpo.stats.names import Ddof
from hpo.stats.statistics import sigma

PICTURES = {
    "train": "train_history.png",
    "confusion": "metrics/val_metrics.png",
    "roc": "metrics/roc.png",
    "gradcam": "gradcam/gradcam.png",
}
"""The copied figures, by their part of the new file name."""

SUFFIXES = (".png", ".pdf", ".svg")
"""The formats in which a figure may exist."""

MARK = "assets.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One directory of results.

    Attributes:
        folder: path of the directory.
        summary: content of its `summary.json`.
        metrics: content of its `metrics/val_metrics.json`.
    """

    folder: Path
    summary: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Reads a directory.

        Raises:
            UsageError: if it is not a directory of results.
        """
        found = []
        for name in ("summary.json", "metrics/val_metrics.json"):
            try:
                content = read_json(folder / name)
            except UsageError as error:
                raise UsageError(f"{folder} is not a folder of results: {error}") from error
            if not isinstance(content, dict):
                raise UsageError(f"{folder} is not a folder of results: {name} does not hold a JSON object")
            found.append(content)
        summary, metrics = found
        if not isinstance(summary.get("seed"), int) or not isinstance(summary.get(SECTION), dict):
            raise UsageError(f"{folder} was not written by a promotion: its summary.json names no seed or study")
        return cls(folder=folder, summary=summary, metrics=metrics)

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return int(self.summary["seed"])

    @property
    def own(self) -> Mapping[str, Any]:
        """The section of the summary that only hpo writes."""
        found: Mapping[str, Any] = self.summary[SECTION]
        return found

    @property
    def folds(self) -> tuple[Path, ...]:
        """The directories of its folds in the order of their numbers; empty without cross-validation."""
        found = (path for path in self.folder.glob("fold_*") if path.is_dir() and path.name[5:].isdecimal())
        return tuple(sorted(found, key=lambda path: int(path.name[5:])))

    @property
    def has_sigma(self) -> bool:
        """Whether seeds make a difference, so that sigma is meaningful."""
        return bool(self.own.get("seed_use", "used") == "used")


def write_assets(
    folders: Sequence[Path], out: Path, *, prefix: str, ddof: Ddof | None = None, force: bool = False
) -> tuple[Path, ...]:
    """Writes figures, tables and a text for a report, and returns the files.

    Args:
        folders: directories of results, one per seed.
        out: folder for the files, created if missing.
        prefix: prefix of the file names, e.g. `density` in `density_train_seed42.png`.
        ddof: how sigma is estimated; None: as in the promotion.
        force: whether the files of another promotion may be replaced.

    Raises:
        UsageError: if the folders are not the results of one promotion.
        OutputRefused: if `out` cannot be written, or contains files of another promotion.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", prefix):
        raise UsageError(f"expected a prefix of letters, digits, '.', '_' and '-', not {prefix!r}")
    runs = sorted(map(Run.read, folders), key=lambda run: run.seed)
    if not runs:
        raise UsageError("there are no results to make assets from")
    blocks = {run.own.get("block") for run in runs}
    if len(blocks) > 1 or len({run.seed for run in runs}) < len(runs):
        named = ", ".join(f"{run.folder.name} (seed {run.seed})" for run in runs)
        raise UsageError(f"expected the results of one promotion, one for each seed, not {named}")
    chosen = runs[0].own.get("ddof", 0) if ddof is None else ddof
    block = str(blocks.pop())
    rows = table(runs, chosen, read_ensemble(runs[0].folder.parent, "validation", block))
    text = " ".join([words(runs, chosen), *_estimated(runs[0].folder.parent, block)])
    with explain_write_errors(out):
        _check_same_promotion(out, prefix, block, force=force)
        return (*_pictures(runs, out, prefix), *_texts(runs, rows, text, out, prefix))


def _estimated(folder: Path, block: str) -> list[str]:
    """Returns the sentences of promotion.json on how good the winner is; empty if they are of other replicates."""
    try:
        found = read_json(folder / "promotion.json")
    except UsageError:
        return []
    estimate = found.get("estimate") if isinstance(found, dict) else None
    if not isinstance(estimate, dict) or estimate.get("block") != block:
        return []
    return [str(one) for one in estimate.get("sentences", ())]


def table(runs: Sequence[Run], ddof: Ddof, ensemble: Mapping[str, Any] | None = None) -> list[dict[str, object]]:
    """Returns one row per metric that all runs have: value by seed, mean and sigma.

    Args:
        runs: directories of results, one per seed.
        ddof: how sigma is estimated.
        ensemble: metrics of the mean of the runs' probabilities, a further column; None: there is none.
    """
    rows: list[dict[str, object]] = []
    per = runs[0].metrics.get("unit")
    over_units = {f"{UNIT}{key}": f"{name} per {per}" for key, name in NAMES.items()} if per else {}
    for key, name in {**NAMES, **over_units}.items():
        values = [run.metrics.get(key) for run in runs]
        known = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
        if len(known) < len(runs):
            continue
        rows.append(
            {
                "metric": name,
                **{f"seed {run.seed}": value for run, value in zip(runs, known, strict=True)},
                "mean": math.fsum(known) / len(known),
                "sigma": sigma(known, ddof) if len(known) > 1 and runs[0].has_sigma else None,
                **({"ensemble": ensemble.get(key)} if ensemble else {}),
            }
        )
    return rows


def _check_same_promotion(out: Path, prefix: str, block: str, *, force: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    mark = out / MARK
    try:
        found = read_json(mark)
    except UsageError:
        found = None
    known = found if isinstance(found, dict) else {}
    if known.get(prefix, block) != block and not force:
        raise OutputRefused(
            f"{out} contains the files {prefix}_* of another promotion; choose another folder or --prefix, or use "
            "--force"
        )
    write_text(mark, json_text({**known, prefix: block}))


def _pictures(runs: Sequence[Run], out: Path, prefix: str) -> list[Path]:
    written = []
    for run in runs:
        for word, name in PICTURES.items():
            written += _copied(run.folder / name, out / f"{prefix}_{word}_seed{run.seed}.png")
        for fold in run.folds:  # each fold has its own model and figures
            written += _copied(fold / PICTURES["gradcam"], out / f"{prefix}_gradcam_seed{run.seed}_{fold.name}.png")
    return written


def _copied(picture: Path, path: Path) -> list[Path]:
    """Copies a figure in each format that it has, and returns the copies; none if there is no such figure."""
    pairs = [(picture.with_suffix(suffix), path.with_suffix(suffix)) for suffix in SUFFIXES]
    found = [(one, copy) for one, copy in pairs if one.is_file()]
    for one, copy in found:
        with atomic_write(copy) as spare:
            spare.write_bytes(one.read_bytes())
    return [copy for _, copy in found]


def _texts(
    runs: Sequence[Run], rows: Sequence[Mapping[str, object]], summary: str, out: Path, prefix: str
) -> list[Path]:
    columns = ["metric", *(f"seed {run.seed}" for run in runs), "mean", "sigma"]
    columns += ["ensemble"] * any("ensemble" in row for row in rows)
    shown = [_shown(row) for row in rows]
    tex, page = (
        tabulate(shown, headers="keys", tablefmt=style, disable_numparse=True) for style in ("latex_booktabs", "github")
    )
    texts = {
        f"{prefix}_metrics.csv": csv_text(columns, rows),
        f"{prefix}_metrics.tex": f"% {summary}\n{tex}\n",
        f"{prefix}_metrics.md": f"{summary}\n\n{page}\n",
        f"{prefix}_text.tex": f"{latex(summary)}\n",
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def _shown(row: Mapping[str, object]) -> dict[str, str]:
    texts = {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in row.items()}
    shown = {name: "-" if value is None else str(value) for name, value in texts.items()}
    spread = shown.pop("sigma")
    return {**shown, "mean": shown["mean"] if row["sigma"] is None else f"{shown['mean']} ± {spread}"}


def words(runs: Sequence[Run], ddof: Ddof) -> str:
    """Returns sentences about the numbers: study, trial, seeds, and how the trial was chosen."""
    own = runs[0].own
    seeds = _listed([str(run.seed) for run in runs])
    params = ", ".join(f"{name} = {_param(value)}" for name, value in own.get("params", {}).items())
    searched = own.get("search_value")
    seed = "" if own.get("search_seed") is None else f" under seed {own['search_seed']}"
    seen = "" if searched is None else f" The search had seen {searched:.3f}{seed}."
    folds = len(runs[0].folds)
    values = "Values are of the validation cases at the selected epoch"
    if folds:
        values = (
            f"Each seed was cross-validated over {folds} folds. Values are of the pooled predictions of all folds, of "
            "each fold's model at its selected epoch for the cases it was not trained on; the promotion ranks by the "
            "mean over the folds, which is another number (cv_summary.json, promotion.csv)"
        )
    spread = f"mean ± sigma over {len(runs)} seeds, sigma with ddof {ddof}"
    if len(runs) == 1:
        spread = "a single seed has no sigma"
    elif not runs[0].has_sigma:
        spread = f"mean over {len(runs)} seeds, whose sigma is not meaningful"
    warnings = "".join(f"Warning: {warning} " for warning in own.get("warnings", ()))
    return (
        f"{warnings}Study {own.get('study')}: trial {own.get('trial')} ({params}), trained under seeds {seeds}; it was "
        f"chosen among the candidates by {own.get('rule')} of {own.get('metric')} over these seeds. {values}; "
        f"{spread}.{seen}"
    )


def _param(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
