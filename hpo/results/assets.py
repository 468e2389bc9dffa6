"""What a report needs of a promotion's results: pictures by seed, tables over the seeds, and the words for them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from hpo.errors import OutputRefused, UsageError
from hpo.files import replacing, write_text
from hpo.results.plain import csv_text, json_text
from hpo.results.summary import SECTION
from hpo.statistics import Ddof, sigma

METRICS = {
    "acc": "accuracy",
    "kappa_quadratic": "quadratic kappa",
    "macro_f1": "macro F1",
    "auc_ovr": "AUC (one against the rest)",
}
"""What the tables have, by its key in `val_metrics.json`."""

PICTURES = {
    "train": "train_history.png",
    "confusion": "metrics/val_metrics.png",
    "roc": "metrics/roc.png",
    "gradcam": "gradcam/gradcam.png",
}
"""What is copied, by its word in the new name."""

MARK = "assets.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One directory of results.

    Attributes:
        folder: where it is.
        summary: its `summary.json`.
        metrics: its `metrics/val_metrics.json`.
    """

    folder: Path
    summary: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Reads a directory.

        Raises:
            UsageError: if it is none of results.
        """
        found = []
        for name in ("summary.json", "metrics/val_metrics.json"):
            try:
                content = json.loads((folder / name).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise UsageError(f"{folder} is no directory of results: {name} cannot be read ({error})") from error
            if not isinstance(content, dict):
                raise UsageError(f"{folder} is no directory of results: {name} holds no table")
            found.append(content)
        summary, metrics = found
        if not isinstance(summary.get("seed"), int) or not isinstance(summary.get(SECTION), dict):
            raise UsageError(f"{folder} was not written by a promotion: its summary.json names no seed or study")
        return cls(folder=folder, summary=summary, metrics=metrics)

    @property
    def seed(self) -> int:
        """Under which it was trained."""
        return int(self.summary["seed"])

    @property
    def own(self) -> Mapping[str, Any]:
        """What only hpo writes."""
        found: Mapping[str, Any] = self.summary[SECTION]
        return found


def write_assets(
    folders: Sequence[Path], out: Path, *, prefix: str, ddof: Ddof | None = None, force: bool = False
) -> tuple[Path, ...]:
    """Writes pictures, tables and words for a report and returns the files.

    Args:
        folders: the results, one for each seed.
        out: where the files go; made if it is missing.
        prefix: of their names: `density_train_seed42.png`.
        ddof: of the sigmas; None: the promotion's.
        force: whether the files of another promotion may be replaced.

    Raises:
        UsageError: if the folders are no results of one promotion.
        OutputRefused: if `out` cannot be written, or has another promotion's files.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", prefix):
        raise UsageError(f"expected a prefix of letters, digits, '.', '_' and '-', not {prefix!r}")
    runs = sorted(map(Run.read, folders), key=lambda run: run.seed)
    if not runs:
        raise UsageError("there are no results to make assets of")
    blocks = {run.own.get("block") for run in runs}
    if len(blocks) > 1 or len({run.seed for run in runs}) < len(runs):
        named = ", ".join(f"{run.folder.name} (seed {run.seed})" for run in runs)
        raise UsageError(f"expected the results of one promotion, one for each seed, not {named}")
    chosen = runs[0].own.get("ddof", 0) if ddof is None else ddof
    rows = table(runs, chosen)
    try:
        _refuse_another(out, prefix, str(blocks.pop()), force=force)
        written = [*_pictures(runs, out, prefix), *_texts(runs, rows, chosen, out, prefix)]
    except OSError as error:
        raise OutputRefused(f"cannot write in {out}: {error.strerror or error}") from error
    return tuple(written)


def table(runs: Sequence[Run], ddof: Ddof) -> list[dict[str, object]]:
    """Returns a row for each metric that all runs have: its value by seed, mean and sigma."""
    rows: list[dict[str, object]] = []
    for key, name in METRICS.items():
        values = [run.metrics.get(key) for run in runs]
        known = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
        if len(known) < len(runs):
            continue
        rows.append(
            {
                "metric": name,
                **{f"seed {run.seed}": value for run, value in zip(runs, known, strict=True)},
                "mean": math.fsum(known) / len(known),
                "sigma": sigma(known, ddof) if len(known) > (ddof != 0) else None,
            }
        )
    return rows


def _refuse_another(out: Path, prefix: str, block: str, *, force: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    mark = out / MARK
    try:
        known = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    if known.get(prefix, block) != block and not force:
        raise OutputRefused(
            f"{out} has the files {prefix}_* of another promotion; name another folder or --prefix, or give --force"
        )
    write_text(mark, json_text({**known, prefix: block}))


def _pictures(runs: Sequence[Run], out: Path, prefix: str) -> list[Path]:
    written = []
    for run in runs:
        for word, name in PICTURES.items():
            if (run.folder / name).is_file():
                path = out / f"{prefix}_{word}_seed{run.seed}.png"
                with replacing(path) as spare:
                    spare.write_bytes((run.folder / name).read_bytes())
                written.append(path)
    return written


def _texts(runs: Sequence[Run], rows: Sequence[Mapping[str, object]], ddof: Ddof, out: Path, prefix: str) -> list[Path]:
    columns = ["metric", *(f"seed {run.seed}" for run in runs), "mean", "sigma"]
    said = words(runs, ddof)
    shown = [_shown(row) for row in rows]
    tex, page = (
        tabulate(shown, headers="keys", tablefmt=style, disable_numparse=True) for style in ("latex_booktabs", "github")
    )
    texts = {
        f"{prefix}_metrics.csv": csv_text(columns, rows),
        f"{prefix}_metrics.tex": f"% {said}\n{tex}\n",
        f"{prefix}_metrics.md": f"{said}\n\n{page}\n",
        f"{prefix}_text.tex": f"{_latex(said)}\n",
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def _shown(row: Mapping[str, object]) -> dict[str, str]:
    shown = {name: f"{value:.3f}" if isinstance(value, float) else str(value) for name, value in row.items()}
    spread = shown.pop("sigma")
    return {**shown, "mean": shown["mean"] if row["sigma"] is None else f"{shown['mean']} ± {spread}"}


def words(runs: Sequence[Run], ddof: Ddof) -> str:
    """Returns what the numbers are, as sentences: the seeds, the study, the model and how it was chosen."""
    own = runs[0].own
    seeds = _listed([str(run.seed) for run in runs])
    params = ", ".join(f"{name} = {_param(value)}" for name, value in own.get("params", {}).items())
    searched = own.get("search_value")
    seen = "" if searched is None else f" The search had seen {searched:.3f} under seed {own.get('search_seed')}."
    return (
        f"Study {own.get('study')}: trial {own.get('trial')} ({params}), trained under seeds {seeds}; it was chosen "
        f"among the candidates by {own.get('rule')} of {own.get('metric')} over these seeds. Values are of the "
        f"validation images at the selected epoch; mean ± sigma over {len(runs)} seeds, sigma with ddof {ddof}.{seen}"
    )


def _param(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _latex(text: str) -> str:
    """Returns a text whose special letters LaTeX prints as they are."""
    escaped = re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", r"\textbackslash "))
    return escaped.replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}").replace("±", r"$\pm$")
