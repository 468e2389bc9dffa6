"""What is printed of a comparison, of what was verified, of a decomposition, of replays, and of what is unstable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.core.formatting import counted, near, number, spread
from hpo.core.records import Status
from hpo.core.shown import Dim, Grid, Page
from hpo.stats.seed_use import CLOCKS

if TYPE_CHECKING:
    from hpo.analysis.compare import Comparison
    from hpo.analysis.decomposition import Decomposition
    from hpo.analysis.diagnose import Diagnosis
    from hpo.analysis.instability import Instability
    from hpo.analysis.replay import ReplayOutcome, Replays
    from hpo.analysis.verify import Verified

BAR = 20
"""Width of the bar of a total effect of 1, in characters."""


def decomposition_text(found: Decomposition) -> Page:
    """Returns a table with one line per source, the replays, the sum of the shares, and the advice."""
    effects = found.effects
    if effects is None:
        return Page([found.advice, *_failed(found.failures, found.study.name, found.trial)])
    head = (
        f"trial {found.trial} · {found.metric} · {counted(len(found.draws.jobs), 'training')} · "
        f"all sources: {number(effects.mean)} ± {spread(effects.sd)}"
    )
    made = Grid("source", "sd if only this is redrawn", "95 % interval", "total effect", "", left=("source", ""))
    for line in found.lines:
        effect = line.effect
        if effect is None:
            made.add_row(line.source, "-", "-", "-", f"not known: {counted(line.pairs, 'pair')} completed")
        elif line.is_unused:
            made.add_row(line.source, "0", "-", "0", f"not used: bit-identical {line.identical} of {line.pairs}")
        elif effect.interval is None:
            made.add_row(line.source, "0", "-", "0", "trainings differ, this metric does not")
        else:
            interval = f"{spread(effect.interval[0])} .. {spread(effect.interval[1])}"
            share = effect.share or 0.0
            bar = "#" * min(2 * BAR, round(BAR * share))
            made.add_row(line.source, spread(effect.sd), interval, _share(effect.share), bar)
    if found.replays is not None:
        made.add_row("replay", spread(found.replays.sd), "", "", _bits(found.replays, found.replays.identical))
    lines = [f"{name}: the same in all draws, [streams] {name} = {seed}" for name, seed in found.fixed.items()]
    lines += _failed(found.failures, found.study.name, found.trial)
    if found.replays is not None and not found.replays.are_identical:
        noise = f"{found.metric} {_by(found.replays.largest)}, the seeds' sd is {spread(effects.sd)}"
        also = "; each line above includes this noise" if found.replays.largest else ""
        lines.append(f"Replays differ in {_differing(found.replays)}: {noise}{also}.")
    if found.sum_text is not None and not found.mostly_collapsed:
        lines.append(found.sum_text)
    lines.append(found.advice)
    lines.append("Trained now: none, all were recorded." if not found.trained else f"Trained now: {found.trained}.")
    first, *others = found.files
    lines.append(f"Written: {near(first.absolute())}  {'  '.join(path.suffix for path in others)}")
    return Page([head, *(f"! {warning}" for warning in found.warnings), made, *lines])


def replay_text(found: ReplayOutcome) -> str:
    """Returns whether a job gives the same bits again, and how its differences compare with those between seeds."""
    metric = found.study.objective.metric
    head = f"trial {found.job.trial} seed {found.job.seed} · {metric} · {counted(found.wanted, 'training')} of one job"
    failed = _failed(found.failures, found.study.name, found.job.trial)
    replays = found.replays
    if replays is None:
        return "\n".join([head, *failed, "Fewer than two trainings completed, so nothing can be compared."])
    lines = [head, f"replays   sd {spread(replays.sd)}   {_bits(replays, replays.identical + 1, 1)}"]
    if not replays.are_identical:
        epoch = "" if replays.epoch is None else f", from epoch {replays.epoch}"
        lines.append(f"They differ in {_differing(replays)}{epoch}; {metric} {_by(replays.largest)}.")
        if replays.metrics and replays.differing == ("history",) and all(map(CLOCKS.search, replays.metrics)):
            lines.append(f"If {', '.join(replays.metrics)} are times, leave them out: {ignoring(replays.metrics)}")
        lines += _circumstances(replays.circumstances)
    if found.seed_sd is None:
        lines.append(
            f"The noise of seeds is not known: trial {found.job.trial} has {counted(len(found.seeds), 'replicate')}. "
            f"Promote it: hpo promote --study {found.study.name}"
        )
    else:
        lines.append(f"seeds     sd {spread(found.seed_sd)}   over {' '.join(map(str, found.seeds))}, ddof 1")
        if found.share is None:
            lines.append("Seeds make no difference here, so there is nothing to compare with.")
        else:
            lines.append(f"Nondeterminism is {_percent(found.share)} of seed noise.")
    lines += failed
    lines.append("Trained now: none, all were recorded." if not found.trained else f"Trained now: {found.trained}.")
    return "\n".join(lines)


def _differing(replays: Replays) -> str:
    """Returns the parts in which replays differ, with the names of the metrics: `weights, history (val_loss)`."""
    metrics = f" ({', '.join(replays.metrics)})" if replays.metrics else ""
    return ", ".join(f"{name}{metrics}" if name == "history" else name for name in replays.differing)


def _by(largest: float) -> str:
    return f"by up to {largest:.3g}" if largest else "does not"


def _bits(replays: Replays, count: int, itself: int = 0) -> str:
    return f"bit-identical {count} of {replays.others + itself}"


def _share(share: float | None) -> str:
    if share is None:
        return "-"
    return "< 0.01" if share < 0.005 else f"{share:.2f}"


def _percent(share: float) -> str:
    return "0 %" if share == 0 else f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"


def diagnosis_text(found: Diagnosis) -> Page:
    """Returns a table with one line per replicate, where they diverge, and what usually helps."""
    metric = found.study.objective.metric
    made = Grid("seed", "state", metric, "epoch", "alerts", left=("seed", "state", "alerts"))
    for one in found.replicates:
        alerts = ", ".join(f"{alert.kind} ({alert.epoch})" for alert in one.alerts) or "none"
        made.add_row(one.seed, one.status, number(one.value), "-" if one.step is None else str(one.step), alerts)
    lines = [f"! {warning}" for warning in found.warnings]
    for parting in found.partings:
        where = "do not diverge" if parting.epoch is None else f"diverge from epoch {parting.epoch} on"
        lines.append(
            f"{parting.metric}: the replicates {where} (noise {parting.noise:.2g}, at the end {parting.spread:.2g})"
        )
    if found.scales is None:
        lines.append("The initial weights are not known: no replicate of a promotion was watched (ctx.watch).")
    elif not found.scales:
        lines.append("The sd of all initial weights is within a factor of three of He's or Xavier's.")
    quiet = "No replicate has an alert."
    if found.scales is None:
        quiet = "No replicate has an alert, but trainings are only checked if the trainable calls ctx.watch."
    lines += found.advice or [quiet]
    lines += [found.code] if found.code else []
    first, *others = found.files
    lines.append(f"Written: {near(first.absolute())}  {'  '.join(path.suffix for path in others)}")
    head = f"{found.study.name}, trial {found.trial} · {counted(len(found.replicates), 'training')}"
    return Page([head, made, *lines])


def instability_text(found: Instability) -> Page:
    """Returns a table with one line per param: its importance for value and sigma, and whether it is significant."""
    head = f"{found.study.name} · {counted(len(found.sigmas), 'trial')} with a sigma, over {_seeds(found)} each"
    made = Grid("param", "for the value", "for sigma", "with sigma", "p", "steadier", left=("param", "steadier"))
    for line in found.lines:
        made.add_row(
            line.name,
            number(line.for_value),
            number(line.for_sigma),
            "-" if line.association is None else f"{line.association:+.2f}",
            "-" if line.p is None else f"{line.p:.2g}",
            line.steadier or "",
        )
    notes = "with sigma: rank correlation, of a choice eta²; steadier: where p is below 0.05 over the number of params"
    first, *others = found.files
    written = f"Written: {near(first.absolute())}  {'  '.join(path.suffix for path in others)}"
    return Page([head, made, Dim(notes), found.says, found.code or "", written])


def _seeds(found: Instability) -> str:
    low, high = min(found.counts.values()), max(found.counts.values())
    return counted(high, "seed") if low == high else f"{low} to {high} seeds"


def _circumstances(found: Mapping[str, tuple[object, object]]) -> list[str]:
    return [f"The conditions differ: {name} was {one}, then {other}." for name, (one, other) in found.items()]


def _failed(failures: tuple[str, ...], study: str, trial: int) -> list[str]:
    if not failures:
        return []
    return [f"Failed and left out: {counted(len(failures), 'training')}. See why: hpo show --study {study} {trial}"]


def comparison_text(found: Comparison) -> str:
    """Returns two configurations seed by seed, and what can be said of them."""
    first, second = found.names
    lines = [
        f"seed {seed}   {first} {number(one)}   {second} {number(other)}"
        for seed, one, other in zip(found.seeds, *found.values, strict=True)
    ]
    interval = f" (95 %: {found.interval[0]:.2f} .. {found.interval[1]:.2f})" if found.interval else ""
    lines.append(f"P({first} > {second}) = {found.outperformance:.2f}{interval}, n = {len(found.seeds)}")
    lines.append(f"{found.verdict[0].upper()}{found.verdict[1:]}{'' if found.verdict.endswith('?') else '.'}")
    seen = "" if found.needed_for_seen is None else f"; one like the one seen, {found.needed_for_seen}"
    lines.append(f"To tell a difference that matters (0.75) from none takes {found.needed} seeds{seen}.")
    lines += [found.code] if found.code else []
    return "\n".join(lines)


def verified_text(found: Sequence[Verified]) -> str:
    """Returns for each training whether its bits are the same, and if not, where and why they may differ."""
    lines = [line for one in found for line in _verified(one)]
    same = sum(one.is_identical for one in found)
    return "\n".join([*lines, f"{same} of {counted(len(found), 'training')} identical."])


def _verified(one: Verified) -> list[str]:
    job = one.recorded.job
    who = f"{job.stage} trial {job.trial} seed {job.seed_text}"
    if one.again.status is not Status.COMPLETE:
        return [f"{who}   FAILED   {(one.again.error or '').splitlines()[-1]}"]
    if one.is_identical:
        digests = one.recorded.digests
        compared = "   ".join(f"{name} {digests.get(name, '')[:8]}".strip() for name in one.same)
        return [f"{who}   {compared}   identical"]
    differ = ", ".join(name for name, same in one.same.items() if not same)
    where = f" from epoch {one.epoch}" if one.epoch is not None else ""
    tensor = ""
    if one.tensor is not None:
        size = "of another shape" if one.tensor.size is None else f"max |d| {one.tensor.size:.1e}"
        tensor = f": {one.tensor.tensor}, {size}"
    metrics = f" ({', '.join(one.metrics)})" if one.metrics else ""
    lines = [f"{who}   DIFFERS{where} in {differ}{metrics}{tensor}"]
    lines += [
        f"    recorded with {name} {was}, now {now}"
        for name, (was, now) in one.circumstances.items()
        if not name.startswith("code")
    ]
    if one.recorded.code.differs(one.again.code):
        changes = one.recorded.code.changes(one.again.code)
        lines.append(f"    the code is another than was recorded ({changes}): the difference may be its doing")
    if "threads" in one.circumstances:
        lines.append(f"    use --cpus-per-trial {one.circumstances['threads'][0]}")
    if one.differ_by_clock:
        lines.append(
            f"    {', '.join(one.metrics)}: if these are times, name them in the study: {ignoring(one.metrics)}"
        )
    elif not one.recorded.code.digest and one.again.code.digest:
        lines.append("    its code was not recorded: was it changed since, or is the trainable not deterministic?")
    elif not one.circumstances:
        lines.append("    nothing that is recorded of how it was trained has changed: is the trainable deterministic?")
    return lines


def ignoring(metrics: Sequence[str]) -> str:
    """Returns the line of a study that leaves metrics out of comparisons: `[objective] ignore = ["latency_ms"]`."""
    return f"[objective] ignore = {json.dumps(list(metrics), ensure_ascii=False)}"
