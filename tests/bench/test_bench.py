"""The bench's arithmetic, and its smallest part whole."""

from __future__ import annotations

from importlib import import_module

import optuna
import pytest

from tests.bench import determinism, growth, watching
from tests.bench.__main__ import PARTS, REPETITIONS
from tests.bench.arithmetic import Spread, busy_share, paired, slope, steady_from
from tests.bench.driver import study_of
from tests.bench.price import price
from tests.bench.say import Target
from tests.bench.slots import use
from tests.bench.stored import driven, fill


@pytest.mark.parametrize("name", PARTS)
def test_all_parts_are_reported(name):
    part = import_module(f"tests.bench.{name}")
    assert callable(part.measure)
    assert callable(part.report)
    assert REPETITIONS[name] > 0


@pytest.mark.slow
def test_watch_cost_is_per_epoch(monkeypatch):
    monkeypatch.setattr(watching, "EPOCHS", 1)
    found = watching.measure(1)
    assert {name: len(spent) for name, spent in found.items()} == dict.fromkeys(watching.KINDS, 1)
    assert len(watching.report(found)) == 4


@pytest.mark.slow
def test_setting_trains_to_same_bits():
    setting = determinism.SETTINGS[determinism.FIRST]
    assert setting == determinism.Setting()
    with determinism._settled(setting):
        (first, _), (second, _) = (determinism.trained(setting, "cpu") for _ in range(2))
    assert first == second


def test_a_slope_leaves_the_start_out():
    assert slope([0.0, 50.0, 51.0, 53.0, 57.0], skip=1) == pytest.approx(7 / 3)
    with pytest.raises(ValueError, match="two stamps after the first 4, there are 5"):
        slope([0.0, 1.0, 2.0, 3.0, 4.0], skip=4)


def test_start_ends_with_last_worker():
    assert steady_from(["a", "a", "b", "a", "b"], skip=1) == 2
    assert steady_from(["a", "a", "b", "a", "b"], skip=3) == 3


def test_ratios_pair_adjacent_runs():
    assert paired([1.0, 4.0, 3.0], [2.0, 4.0, 12.0]) == Spread(median=0.5, low=0.25, high=1.0)


def test_price_names_worker_count():
    stamps = {"wall": [float(n) for n in range(14)], "cpu": [n / 2 for n in range(14)], "workers": [1, 2] + [1] * 12}
    found = price(stamps, "ours")
    assert (found.wall, found.cpu, found.workers, found.steady) == (1.0, 0.5, 1, 4)


def test_slots_window_excludes_ramps():
    naps = [(0.0, 4.0, 1), (1.0, 3.0, 2), (4.0, 9.0, 1), (3.0, 7.0, 2), (8.0, 12.0, 2)]
    assert use(naps).workers == 2
    assert use(naps).share == pytest.approx(13 / 14)  # one second of worker 2 between 1 and 8
    assert busy_share([(0.0, 4.0)], slots=2, begin=2.0, end=6.0) == 0.25


@pytest.mark.parametrize(("most", "met"), [(True, False), (False, True)])
def test_target_is_upper_or_lower_limit(most, met):
    assert Target("share", Spread(0.96, 0.9, 1.0), 0.95, most=most).met == met


def test_filled_database_is_usable(tmp_path):
    study = study_of(3, 60)
    fill(study, tmp_path, 50)
    loaded = optuna.load_study(study_name="bench", storage=f"sqlite:///{tmp_path / 'hpo.db'}")
    assert [trial.number for trial in loaded.trials] == list(range(50))
    assert {trial.state.name for trial in loaded.trials} == {"COMPLETE"}
    assert {tuple(trial.intermediate_values.items()) for trial in loaded.trials} == {((1, 1.0), (2, 2.0), (3, 3.0))}
    assert len({trial.params["x"] for trial in loaded.trials}) == 50
    with driven(study, tmp_path) as driver:
        while driver.train():
            pass
        assert len(driver.opened.durable.trials()) == 60
        assert len(driver.opened.store.evaluations(driver.opened.stored)) == 60


@pytest.mark.slow
def test_the_bench_of_growing_studies_runs(capsys):
    targets = growth.report(growth.measure(1, sizes=(20, 40)))
    assert [target.found.median > 0 for target in targets] == [True, True]
    assert "The driver as the study grows" in capsys.readouterr().out
