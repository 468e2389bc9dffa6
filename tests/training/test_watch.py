"""Records of watched trainings, which change no bit of them; real trainings of small networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from hpo.core.errors import UsageError
from hpo.core.protocols import Resources, TrainableRef
from hpo.core.records import Job, Objective, Stage, Status
from hpo.training import TrainingRun
from hpo.training.monitoring.alerts import vanishing
from hpo.training.monitoring.watch import UPDATES_EVERY, Watch

PROJECT = Path(__file__).parents[1] / "project"
DATA = torch.Generator().manual_seed(0)
X_NF, TRUTH_N = torch.randn(64, 5, generator=DATA), torch.arange(64) % 3


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))


def trained(model, optimizer, steps, clip=0.0, seen=lambda: None):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(X_NF), TRUTH_N).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        seen()
        optimizer.step()


def run(work, epochs=4, stop_after=None, **params):
    """Trains the watched toy to the end, or abandons it after `stop_after` reports, as a killed process does."""
    ref = TrainableRef(path="toys.watched:train", root=str(PROJECT), objective=Objective(metric="val_acc"), fixed={})
    job = Job(trial=0, params=params, seed=42, budget=epochs, stage=Stage.PROMOTION)
    training, reports = TrainingRun(job, ref, Resources(), work), []
    while True:
        update = training.advance()
        reports.extend(update.reports)
        if update.status is not None or len(reports) == stop_after:
            training.close()
            return update, reports


def lines(update):
    return Path(update.outcome.files, "artifacts", "diagnostics.jsonl").read_text()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_watch_changes_no_bit(tmp_path, optimizer):
    watched, _ = run(tmp_path / "watched", optimizer=optimizer, watched=True)
    plain, _ = run(tmp_path / "plain", optimizer=optimizer, watched=False)
    assert watched.status is Status.COMPLETE
    assert watched.outcome.digests == plain.outcome.digests
    assert not (Path(plain.outcome.files) / "artifacts" / "diagnostics.jsonl").exists()


@pytest.mark.parametrize("epochs", [1, 3])
def test_resumed_records_are_equal(tmp_path, epochs):
    whole, reports = run(tmp_path / "whole", lr=40.0)
    run(tmp_path / "cut", lr=40.0, stop_after=epochs + 1)
    resumed, again = run(tmp_path / "cut", lr=40.0)
    assert lines(resumed) == lines(whole)
    assert len(lines(whole).splitlines()) == 4
    assert [one.alerts for one in again] == [one.alerts for one in reports]
    assert any(one.alerts for one in reports)


def test_gradient_norms():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch, norms, sums, layer = Watch(model, optimizer), [], [], []

    def look():
        grads = [one.grad for one in model.parameters()]
        norms.append(torch.cat([grad.flatten() for grad in grads]).norm().item())
        sums.append(sum(grad.norm().item() for grad in grads))
        layer.append(model[0].weight.grad.norm().item())

    trained(model, optimizer, 5, seen=look)
    seen = watch.end_epoch(1, {"train_loss": 1.5})
    assert seen.grad_norm == pytest.approx(sum(norms) / 5)
    assert seen.grad_norm_max == pytest.approx(max(norms))
    assert seen.grad_norm_median == pytest.approx(sorted(norms)[2])
    assert seen.grad_norm_sum == pytest.approx(sum(sums) / 5)
    assert seen.layers["0"].grad_norm == pytest.approx(sum(layer) / 5)
    assert list(seen.layers) == ["0", "2"]
    assert (seen.steps, seen.lr, seen.train_loss, seen.clipped) == (5, 0.1, 1.5, None)
    assert seen.input_mean == pytest.approx(X_NF.mean().item())
    assert seen.input_sd == pytest.approx(X_NF.std(correction=0).item())


def test_update_ratio():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    watch, before = Watch(model, optimizer), model[0].weight.detach().clone()
    trained(model, optimizer, 1)
    moved = (model[0].weight.detach() - before).norm() / before.norm()
    assert watch.end_epoch(1, {}).layers["0"].update_ratio == pytest.approx(moved.item())


@pytest.mark.parametrize(("clip", "share"), [(1e-3, 1.0), (1e3, 0.0)])
def test_clipped_share(clip, share):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch = Watch(model, optimizer, clip=clip)
    trained(model, optimizer, 8, clip=clip)
    assert watch.end_epoch(1, {}).clipped == share


def test_partial_sums_are_equal(monkeypatch):
    def records(fold):
        monkeypatch.setattr("hpo.training.monitoring.watch.SUM_EVERY", fold)
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        watch = Watch(model, optimizer, activations=True)
        for epoch in (1, 2):
            trained(model, optimizer, UPDATES_EVERY + 3)
            yield watch.end_epoch(epoch, {})

    whole, folded = list(records(1000)), list(records(4))
    assert whole[0].grad_norm != whole[1].grad_norm
    for one, other in zip(whole, folded, strict=True):
        assert one.steps == other.steps == UPDATES_EVERY + 3
        assert one.grad_norm == other.grad_norm
        assert one.layers["2"].grad_norm == pytest.approx(other.layers["2"].grad_norm)
        assert 0 <= one.activations["1"].dead < 1


def test_dead_units_are_counted():
    model = network()
    with torch.no_grad():
        model[0].bias[:3] = -1e3
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    watch = Watch(model, optimizer, activations=True)
    trained(model, optimizer, 3)
    assert watch.end_epoch(1, {}).activations["1"].dead == pytest.approx(3 / 7)


def test_frozen_layers_are_left_out():
    model = network()
    model[0].weight.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch = Watch(model, optimizer)
    trained(model, optimizer, 2)
    assert "0" not in watch.end_epoch(1, {}).layers


def test_foreign_optimizer_rejected():
    with pytest.raises(UsageError, match="none of the model's parameters"):
        Watch(network(), torch.optim.SGD(network(1).parameters(), lr=0.1))


def test_records_hold_finite_numbers(tmp_path):
    update, _ = run(tmp_path, lr=1e30)
    assert update.status is Status.FAILED
    assert update.outcome.last_alerts[0].kind == "non-finite"
    for line in lines(update).splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in a record"))


def test_watched_model_can_be_pickled(tmp_path):
    model = network()
    watch = Watch(model, torch.optim.SGD(model.parameters(), lr=0.1), activations=True)
    torch.save(model, tmp_path / "model.pt")
    assert watch.end_epoch(1, {}).steps == 0


def test_second_watch_is_rejected(tmp_path):
    update, _ = run(tmp_path, watches=2)
    assert "call it once, before ctx.epochs()" in update.error


def frozen(model, optimizer, epoch=1):
    """Trains a watched epoch and returns its layers and the message of a vanishing gradient."""
    watch = Watch(model, optimizer)
    trained(model, optimizer, 3)
    seen = watch.end_epoch(epoch, {})
    return set(seen.layers), vanishing([seen])


def test_frozen_layer_does_not_vanish():
    model = network()
    model[0].requires_grad_(False)
    assert frozen(model, torch.optim.SGD(model.parameters(), 0.1)) == ({"2"}, None)


def test_later_frozen_does_not_vanish():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    trained(model, optimizer, 2)
    model[0].requires_grad_(False)
    for weight in model.parameters():  # as zero_grad(set_to_none=False) leaves it
        weight.grad = torch.zeros_like(weight)
    assert frozen(model, optimizer) == ({"2"}, None)


def test_unused_layer_vanishes():
    used, unused = network(), nn.Linear(4, 4)
    whole = nn.ModuleList([used, unused])
    optimizer = torch.optim.SGD(whole.parameters(), 0.1)
    watch = Watch(whole, optimizer)
    trained(used, optimizer, 2)
    message = vanishing([watch.end_epoch(1, {})])
    assert message is not None
    assert message.startswith("the gradient of 1 was 0")
