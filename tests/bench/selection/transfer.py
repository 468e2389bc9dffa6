"""`python -m tests.bench.selection.transfer`: a search that starts from an old study against one from scratch.

The old study is a search of another table with the same params, and a promotion of its best. Each repetition has other
seeds, the same for both searches. The loss is that of the configuration with the best value so far, in standard
deviations over seeds, as in `tests.bench.selection`. Beside it stands the loss of the best configuration tried so far,
which a promotion could find: it does not depend on the luck of a single seed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from scipy.stats import wilcoxon
from threadpoolctl import threadpool_limits

from hpo.search.source import SearchSource
from hpo.store.optuna_storage.studies import DurableStudy
from hpo.study.prior import Prior, PriorConfiguration, PriorStudy
from tests.bench.say import say, table
from tests.bench.selection.compare import CLIPPED
from tests.bench.selection.methods import SEARCH_SEED, SEEDS, Roles, Trace, _drained, study_of, trace_of
from tests.bench.selection.tables import Table, named

OLD, NEW = 80, 30
"""Trainings of the old search, by TPE, and of the new one."""

PROMOTED, REPLICATES = 5, 3
"""Candidates of the old promotion, and seeds of each."""

AT = (10, 20, 30)
"""Trainings after which the loss is taken."""

RELATED = (
    ("HPOBench segment", "HPOBench vehicle"),
    ("FCNet parkinsons_telemonitoring", "FCNet protein_structure"),
)
UNRELATED = (
    ("HPOBench segment relabeled", "HPOBench vehicle"),
    ("FCNet parkinsons_telemonitoring upside down", "FCNet protein_structure"),
)
"""Old and new tables. Of each kind the two whose mean scores have the highest rank correlation (0.96, 0.90).

Relabeled: the values of each param are permuted, so that there is as much to learn, and it is wrong. Upside down: the
best is the worst.
"""

MORE = (
    ("HPOBench car", "HPOBench segment"),
    ("HPOBench credit_g", "HPOBench kc1"),
    ("HPOBench australian", "HPOBench phoneme"),
    ("FCNet naval_propulsion", "FCNet slice_localization"),
    ("own bc", "own wine"),
    ("own wine", "own digits"),
    ("HPOBench segment shuffled", "HPOBench vehicle"),
)
SETS = {"related": RELATED, "unrelated": UNRELATED, "more": MORE}

Row = dict[str, Any]


@cache
def changed(name: str) -> Table:
    """Returns a table by its name, which may end in one of `CHANGES`."""
    for end, change in CHANGES.items():
        if name.endswith(end):
            whole = changed(name.removesuffix(f" {end}"))
            return replace(whole, name=name, scores=change(whole, np.random.default_rng(7)))
    found = named(name)
    assert isinstance(found, Table)
    return found


def _relabeled(whole: Table, draw: np.random.Generator) -> Any:
    grid = np.arange(len(whole.scores)).reshape([len(values) for values in whole.space.values()])
    for axis, count in enumerate(grid.shape):
        grid = np.take(grid, draw.permutation(count), axis=axis)
    return whole.scores[grid.ravel()]


CHANGES: Mapping[str, Callable[[Table, np.random.Generator], Any]] = {
    "relabeled": _relabeled,
    "shuffled": lambda whole, draw: whole.scores[draw.permutation(len(whole.scores))],
    "upside down": lambda whole, _: -whole.scores,
}
"""What is done to a table: another one that has nothing to do with it. Shuffled: there is nothing to learn."""


def prior_from(old: Table, number: int) -> Prior:
    """Returns what an old study of a table leaves: a search, and a promotion of its best."""
    roles = Roles(np.random.default_rng([3, number]).permutation(old.seeds))
    trace = trace_of(old, "tpe", OLD, roles, 10_000 + number)
    values = {row: [value] for row, value in zip(trace.rows, trace.values, strict=True)}
    for row in trace.best(PROMOTED):
        values[row] += [old.value(row, roles.column(seed)) for seed in SEEDS[: min(REPLICATES, old.seeds - 1)]]
    configurations = list(product(*(_places(one) for one in old.space.values())))
    return Prior(
        studies=(
            PriorStudy(
                study="old",
                uid="old",
                metric="score",
                direction="maximize",
                params=tuple(sorted(old.space)),
                left_out={},
                configurations=tuple(
                    PriorConfiguration(
                        params=dict(zip(old.space, configurations[row], strict=True)),
                        values=tuple(value for value in some if not math.isnan(value)),
                        failures=sum(map(math.isnan, some)),
                    )
                    for row, some in values.items()
                ),
            ),
        )
    )


def _places(values: Sequence[Any]) -> Sequence[Any]:
    """Returns the values of a param as the study has them: words as they are, numbers by their place."""
    return values if isinstance(values[0], str) else range(len(values))


def transferred(new: Table, prior: Prior, trainings: int, roles: Roles, seed: int) -> tuple[Trace, float | None]:
    """Returns a search that starts from old studies, and the sum of the agreements in the end."""
    study, column, rows = study_of(new, "tpe+gp", seed), roles.column(SEARCH_SEED), []
    search = study.search.model_copy(update={"prior": tuple(one.study for one in prior.studies)})
    study = study.model_copy(update={"search": search})
    storage = InMemoryStorage()
    optuna.create_study(study_name=study.name, storage=storage, direction="maximize")
    durable = DurableStudy(storage, study.name, nullcontext)
    durable.keep_prior(prior)
    source = SearchSource(study, durable, configurations=trainings)
    for job in _drained(source, lambda job: new.value(new.index(job.params), column)):
        rows.append(new.index(job.params))
    use = durable.prior_use
    agreement = sum(use.agreement.values()) if use is not None and use.agreement is not None else None
    return Trace(tuple(rows), tuple(new.value(row, column) for row in rows)), agreement


def repetition(old: str, new: str, number: int) -> Row:
    """Returns the losses of both searches in one repetition."""
    target = changed(new)
    order = np.random.default_rng([4, number]).permutation(target.seeds)
    roles, losses = Roles(order), target.losses(1, order)
    scratch = trace_of(target, "tpe+gp", NEW, roles, number)
    found, agreement = transferred(target, prior_from(changed(old), number), NEW, roles, number)
    row: Row = {"old": old, "new": new, "repetition": number, "agreement": agreement}
    for method, trace in (("scratch", scratch), ("transfer", found)):
        for count in AT:
            part = trace.first(count, recorded=True)
            row[f"{method} {count}"] = float(losses[part.best(1)[0]])
            row[f"{method} {count} tried"] = float(losses[list(part.rows)].min())
    return row


def summary(rows: Sequence[Row]) -> list[list[str]]:
    """Returns a line for each pair of tables: mean losses, their difference with its standard error, and p."""
    lines = []
    for old, new in dict.fromkeys((row["old"], row["new"]) for row in rows):
        own = [row for row in rows if (row["old"], row["new"]) == (old, new)]
        agreement = np.mean([row["agreement"] or 0.0 for row in own])
        line = [f"{old} -> {new}", str(len(own)), f"{agreement:.2f}"]
        line += [_compared(own, f"{count}{kind}") for kind in ("", " tried") for count in AT]
        lines.append(line)
    return lines


def _compared(rows: Sequence[Row], what: str) -> str:
    """Returns the mean losses of both searches, their difference with its standard error, and Wilcoxon's p."""
    pairs = np.minimum([[row[f"scratch {what}"], row[f"transfer {what}"]] for row in rows], CLIPPED)
    off = pairs[:, 1] - pairs[:, 0]
    error = off.std(ddof=1) / math.sqrt(len(off)) if len(off) > 1 else math.nan
    p = wilcoxon(off).pvalue if np.any(off) and len(off) > 1 else 1.0
    return f"{pairs[:, 0].mean():.2f} {pairs[:, 1].mean():.2f} ({off.mean():+.2f} ± {error:.2f}, p {p:.2g})"


HEADS = [
    *("old -> new", "n", "agreement"),
    *(f"{kind} at {count}: scratch transfer (difference)" for kind in ("best value", "best tried") for count in AT),
]


def main() -> None:
    """Runs the repetitions that are not in the file yet, and prints what all of them come to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.selection.transfer", description=__doc__)
    parser.add_argument("sets", nargs="*", default=["related", "unrelated"], help=f"of {', '.join(SETS)}")
    parser.add_argument("--repetitions", type=int, default=20, help="of every pair of tables [20]")
    parser.add_argument("--file", type=Path, default=Path(".bench-tables/transfer.jsonl"), help="where they are kept")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at a time [one for each core]")
    given = parser.parse_args()
    if unknown := set(given.sets) - set(SETS):
        parser.error(f"no set {', '.join(sorted(unknown))}; known: {', '.join(SETS)}")
    pairs = [pair for chosen in given.sets for pair in SETS[chosen]]
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        changed(name)  # generated now if it has to be, and once
    wanted = [(*pair, number) for number in range(given.repetitions) for pair in pairs]
    rows = [json.loads(line) for line in given.file.read_text().splitlines()] if given.file.exists() else []
    known = {(row["old"], row["new"], row["repetition"]) for row in rows}
    given.file.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.processes, initializer=_quiet) as pool, given.file.open("a") as out:
        tasks = [pool.submit(repetition, *one) for one in wanted if one not in known]
        for done, task in enumerate(tasks, start=1):
            rows.append(task.result())
            out.write(json.dumps(rows[-1]) + "\n")
            out.flush()
            if sys.stderr.isatty() or done % 20 == 0:
                say(f"{done} of {len(tasks)} repetitions")
    table(f"{NEW} trainings: loss in seed standard deviations", HEADS, summary([r for r in rows if _in(r, wanted)]))


def _in(row: Row, wanted: Sequence[tuple[str, str, int]]) -> bool:
    return (row["old"], row["new"], row["repetition"]) in wanted


def _quiet() -> None:
    threadpool_limits(limits=1)  # each process has one core
    optuna.logging.set_verbosity(optuna.logging.ERROR)


if __name__ == "__main__":
    main()
