"""TPE and a Gaussian process in turns: against independent computations, and in any Optuna study."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy.optimize import check_grad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_info

import hpo
from hpo.search.gaussian import JITTER, Process, _minus_log_likelihood, likeliest, log_expected_improvement, squares
from hpo.search.learned import MOST_POINTS
from hpo.search.mixed import FITTED, RETRIES, Fitted
from hpo.search.units import UnitSpace, unit, value

optuna.logging.set_verbosity(optuna.logging.WARNING)
DRAW = np.random.default_rng(5)
X_N2, Z_N = DRAW.random((25, 2)), DRAW.normal(size=25)


def points(x_NP):
    return np.ascontiguousarray(np.asarray(x_NP).T[:, :, None])


def test_posterior_matches_scikit_learn():
    lengths, amplitude, noise = np.array([0.3, 1.2]), 1.7, 0.2
    kernel = ConstantKernel(amplitude) * Matern(lengths, nu=2.5) + WhiteKernel(noise + JITTER)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(X_N2, Z_N)
    ours = Process.of(points(X_N2), Z_N, lengths, amplitude, noise)
    new_M2 = DRAW.random((40, 2))
    mean, deviation = ours.at(points(new_M2))
    wanted, theirs_sd = theirs.predict(new_M2, return_std=True)
    assert mean == pytest.approx(wanted, abs=1e-8)
    assert deviation**2 == pytest.approx(theirs_sd**2 - noise, abs=1e-6)  # theirs is of a value, ours of the function


def test_likelihood_and_gradient():
    apart, logs = squares(points(X_N2), points(X_N2)), np.log([0.3, 1.2, 1.7, 0.2])
    kernel = ConstantKernel(1.7) * Matern([0.3, 1.2], nu=2.5) + WhiteKernel(0.2 + JITTER)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(X_N2, Z_N)
    value, _ = _minus_log_likelihood(logs, apart, Z_N)
    constant = 0.5 * len(Z_N) * np.log(2 * np.pi)
    assert -value - constant == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-6)
    off = check_grad(
        lambda at: _minus_log_likelihood(at, apart, Z_N)[0], lambda at: _minus_log_likelihood(at, apart, Z_N)[1], logs
    )
    assert off < 1e-4


def test_gain_slope_matches_gain():
    process = Process.of(points(X_N2), Z_N, np.array([0.3, 0.5]), 1.0, 0.1)
    for best in (0.5, 3.0, 40.0):  # at the last, the improvement itself is below the smallest float
        for at in DRAW.random((5, 2)):
            gain, slope = process.gain_and_slope(points([at]), best)
            assert gain == pytest.approx(process.gain(points([at]), best), rel=1e-6)
            off = check_grad(
                lambda one, best=best: process.gain(points([one]), best)[0], lambda _, s=slope: s[:, 0], at
            )
            assert off < 1e-4 * max(1.0, np.abs(slope).max())


def test_climb_moves_free_numbers():
    process = Process.of(points(X_N2), Z_N, np.array([0.3, 0.5]), 1.0, 0.1)
    begin = points(DRAW.random((6, 2)))
    free = np.array([[True] * 6, [False] * 6])
    there = process.climbed(begin, free, 1.0)
    assert np.all(process.gain(there, 1.0) >= process.gain(begin, 1.0) - 1e-9)
    assert np.all(there[1] == begin[1])
    assert np.any(there[0] != begin[0])


def test_noise_is_told_from_shape():
    x_N1 = np.linspace(0, 1, 60)[:, None]
    smooth = np.sin(6 * x_N1[:, 0])
    quiet = likeliest(points(x_N1), smooth)
    loud = likeliest(points(x_N1), smooth + np.random.default_rng(2).normal(0, 0.7, 60))
    assert np.exp(quiet[-1]) < 0.02
    assert 0.3 < np.exp(loud[-1]) < 0.8  # 0.49


@given(some.floats(-3, 3), some.floats(0.01, 2), some.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_expected_improvement_integral(mean, deviation, best):
    f = np.linspace(mean - 9 * deviation, mean + 9 * deviation, 40_001)
    wanted = np.trapezoid(np.maximum(f - best, 0) * norm.pdf(f, mean, deviation), f)
    found = log_expected_improvement(np.array([mean]), np.array([deviation]), best)
    assert np.exp(found[0]) == pytest.approx(wanted, abs=1e-4)


def test_running_trials_use_expected_value():
    process = Process.of(points(X_N2), Z_N, np.array([0.3, 0.5]), 1.0, 0.1)
    config = points([[0.5, 0.5]])
    believing = process.believing(config)
    assert believing.at(config)[0] == pytest.approx(process.at(config)[0], abs=1e-6)
    assert believing.at(config)[1] < process.at(config)[1]


@given(some.data())
@settings(max_examples=60, deadline=None)
def test_unit_interval_round_trip(data):
    low = data.draw(some.integers(1, 50))
    high = low + data.draw(some.integers(1, 50))
    distribution = data.draw(
        some.sampled_from(
            [
                FloatDistribution(low, high),
                FloatDistribution(low, high, log=True),
                FloatDistribution(low, high, step=0.25),
                IntDistribution(low, high),
                IntDistribution(low, high, log=True),
            ]
        )
    )
    made = value(distribution, data.draw(some.floats(0, 1)))
    assert distribution._contains(made)
    assert value(distribution, unit(distribution, made)) == pytest.approx(made, rel=1e-12)
    assert isinstance(made, int) == isinstance(distribution, IntDistribution)


def conditional(trial):
    x = trial.suggest_float("x", -1, 1)
    k = trial.suggest_int("k", 1, 64, log=True)
    if trial.suggest_categorical("kind", ["plain", "late", None]) == "late":
        return x**2 + 0.1 * abs(np.log2(k) - 3) + (trial.suggest_float("gain", 1e-3, 1, log=True) - 0.1) ** 2
    return x**2 + 0.1 * abs(np.log2(k) - 3) + 0.5


def table(study):
    return [(trial.params, trial.values, trial.state) for trial in study.trials]


def searched(seed=1, trials=34, **more):
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=seed, n_startup_trials=10, **more))
    study.optimize(conditional, n_trials=trials)
    return study


def test_conditional_params_in_plain_optuna(monkeypatch):
    proposed = []
    sample = hpo.MixedSampler.sample_relative

    def noted(self, study, trial, space):
        proposed.append((trial.number, sample(self, study, trial, space)))
        return proposed[-1][1]

    monkeypatch.setattr(hpo.MixedSampler, "sample_relative", noted)
    study = searched(trials=60)
    ours = {number: params for number, params in proposed if number >= 10 and number % 2 == 0}
    assert len(ours) == 25
    for number, params in ours.items():
        assert params == study.trials[number].params  # nothing had to be drawn besides, nothing was too much
        assert ("gain" in params) == (params["kind"] == "late")
    assert {params["kind"] for params in ours.values()} >= {"late"}


@pytest.mark.slow
def test_seed_fixes_the_proposals():
    assert table(searched(3)) == table(searched(3))
    assert table(searched(3)) != table(searched(4))


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "4"])
def test_threads_change_no_bit(threads):
    code = (
        "import optuna, hpo, hashlib; optuna.logging.set_verbosity(optuna.logging.ERROR); "
        "study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)); "
        "f = lambda t: sum((t.suggest_float(f'x{i}', 0, 1) - .3) ** 2 for i in range(6)); "
        "study.optimize(f, n_trials=250); study.sampler = hpo.MixedSampler(seed=3); study.optimize(f, n_trials=12); "
        "print(hashlib.sha256(repr([t.params for t in study.trials]).encode()).hexdigest())"
    )
    environment = {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    DIGESTS.add(done.stdout)
    assert len(DIGESTS) == 1


DIGESTS: set[str] = set()


def test_avoids_failed_and_pruned():
    study = optuna.create_study(direction="maximize", sampler=hpo.MixedSampler(seed=2, n_startup_trials=12))

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        if x > 0.6:
            raise optuna.TrialPruned if x > 0.8 else ValueError
        return x

    study.optimize(objective, n_trials=60, catch=ValueError)
    late = [trial for trial in study.trials[30:] if trial.number % 2 == 0]
    assert sum(trial.state is TrialState.COMPLETE for trial in late) > 0.6 * len(late)
    assert study.best_value > 0.55


def test_no_duplicates_while_others_remain():
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=0, n_startup_trials=6))
    space = {"a": IntDistribution(0, 7), "b": CategoricalDistribution((0, 1, 2, 3))}
    seen, repeated = [], []
    for number in range(30):  # of 32, so that there is something else all along; two are always being tried
        trial = study.ask(space)
        if number >= 6 and number % 2 == 0:
            repeated.append(trial.params in seen)
        seen.append(trial.params)
        if number >= 2:
            study.tell(number - 2, float(seen[number - 2]["a"]))
    assert not any(repeated)


def test_few_values_use_tpe():
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=0, n_startup_trials=0))
    for _ in range(5):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, state=TrialState.FAIL)
    assert len({trial.params["x"] for trial in study.trials}) == 5


@pytest.mark.slow
def test_hyperparameters_are_kept(monkeypatch):
    fits = []
    monkeypatch.setattr("hpo.search.gaussian.likeliest", lambda *said: fits.append(said) or likeliest(*said))
    study = searched(trials=70)
    kept = {trial.number: trial.system_attrs[FITTED]["known"] for trial in study.trials if FITTED in trial.system_attrs}
    assert len(fits) == len(kept) == 25
    assert list(kept.values())[-4:] == [56, 60, 64, 68]


def test_several_objectives_are_refused():
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=hpo.MixedSampler(n_startup_trials=0))
    with pytest.raises(ValueError, match="for one objective"):
        study.ask({"x": FloatDistribution(0, 1)})


def test_many_trials_are_subsampled():
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=0))
    space = {"x": FloatDistribution(0, 1)}
    for x in np.random.default_rng(0).random(MOST_POINTS + 50):
        study.add_trial(optuna.create_trial(params={"x": x}, distributions=space, value=(x - 0.4) ** 2))
    trial = study.ask(space)
    assert trial.number % 2 == 0
    assert abs(trial.params["x"] - 0.4) < 0.1


def test_choices_are_equally_distant():
    space = {"kind": CategoricalDistribution(("a", "b", "c")), "x": FloatDistribution(0, 1)}
    form = UnitSpace(space, [])
    units = form.units([{"kind": "a", "x": 0.5}, {"kind": "b", "x": 0.5}, {"kind": "c", "x": 0.5}, {"kind": "c"}])
    at = form.points(units)
    apart = squares(at, at)
    assert apart[0] == pytest.approx(1 - np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]))
    assert apart[1, 0, 3] > 1


WIDE = {
    "int": IntDistribution(0, 2**62),
    "odd-int": IntDistribution(-(2**52) - 1, 2**52 + 3, step=4),
    "log-int": IntDistribution(1, 2**60, log=True),
    "stepped": FloatDistribution(0.0, 1e9, step=0.001),
    "float": FloatDistribution(-5e307, 5e307),
    "choices": CategoricalDistribution(tuple(range(20_000))),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # TPE's: one whole number of so many has no mass
@pytest.mark.parametrize("wide", WIDE)
def test_wide_params_are_proposed(wide, monkeypatch):
    proposed = []
    sample = hpo.MixedSampler.sample_relative

    def noted(*given):
        proposed.append(sample(*given))
        return proposed[-1]

    monkeypatch.setattr(hpo.MixedSampler, "sample_relative", noted)
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=1, n_startup_trials=6))
    space = {"wide": WIDE[wide], "x": FloatDistribution(0, 1)}
    for _ in range(14):
        trial = study.ask(space)
        study.tell(trial, trial.params["x"])
    assert [trial.params for trial in study.trials[6::2]] == proposed[6::2]  # whole, on its step and within bounds
    assert len({trial.params["wide"] for trial in study.trials}) > 8
    if wide != "choices":
        ends = WIDE[wide].low, WIDE[wide].high
        assert [value(WIDE[wide], at) for at in (0.0, 1.0)] == pytest.approx(ends, rel=1e-12)


@pytest.mark.slow
def test_beats_tpe_under_noise():
    """Eight searches of 60 trials; without the noise the values of random trials spread as much as the noise does."""

    def found(sampler, seed):
        noise, truth = np.random.default_rng(seed), []

        def objective(trial):
            truth.append(sum((trial.suggest_float(f"x{config}", 0, 1) - 0.3) ** 2 for config in range(4)))
            return truth[-1] + noise.normal(0, 0.1)

        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=60)
        return truth[study.best_trial.number]

    ours = [found(hpo.MixedSampler(seed=seed), seed) for seed in range(8)]
    theirs = [found(optuna.samplers.TPESampler(seed=seed), seed) for seed in range(8)]
    assert np.mean(ours) < 0.8 * np.mean(theirs)


def blas():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def test_numpy_threads_are_restored(monkeypatch):
    inside, most, before = [], [], blas()

    def slow(*_):
        inside.append(True)
        most.append((len(inside), max(blas(), default=1)))
        time.sleep(0.02)
        inside.pop()
        return {}, Fitted()

    monkeypatch.setattr("hpo.search.mixed._proposal", slow)
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=1, n_startup_trials=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=20, n_jobs=4)
    assert most == [(1, 1)] * 10
    assert blas() == before


def test_tpe_duplicates_are_retried(monkeypatch):
    space = {"a": IntDistribution(0, 3), "b": CategoricalDistribution(("p", "q")), "one": IntDistribution(7, 7)}
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=0, n_startup_trials=12))
    for a in range(4):
        for b in "pq" if a != 2 else "p":
            study.add_trial(optuna.create_trial(params={"a": a, "b": b, "one": 7}, distributions=space, value=float(a)))
    study.add_trial(study.trials[0])
    answers = [{"a": 0, "b": "p"}] * 3 + [{"a": 2, "b": "q"}]
    asked = []
    monkeypatch.setattr(
        study.sampler._tpe, "_sample_relative", lambda *_: asked.append(len(asked)) or answers[len(asked) - 1]
    )
    assert study.ask(space).params == {"a": 2, "b": "q", "one": 7}
    assert len(asked) == 4  # and no more, once it is new
    study = optuna.create_study(sampler=study.sampler)
    for trial in ([{"a": 0, "b": "p"}] + [{"a": a, "b": b} for a in (1, 3) for b in "pq"]) * 2:
        known = {**trial, "one": 7}
        study.add_trial(optuna.create_trial(params=known, distributions=space, value=float(known["a"])))
    answers, asked[:] = [{"a": 0, "b": "p"}] * 99, []
    study.add_trial(study.trials[0])
    assert len(study.trials) % 2 == 1  # TPE's turn
    assert study.ask(space).params not in [trial.params for trial in study.trials[:-1]]
    assert len(asked) == 1 + RETRIES


def test_small_space_is_exhausted_first():
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=4, n_startup_trials=10))
    space = {"a": IntDistribution(0, 5), "b": CategoricalDistribution((0, 1, 2, 3))}
    for _ in range(40):
        trial = study.ask(space)
        study.tell(trial, float(trial.params["a"]))
    params = [tuple(trial.params.values()) for trial in study.trials]
    late = [one in params[:number] for number, one in enumerate(params) if number >= 10]  # the start is random
    assert len(set(params)) == 24
    assert late == sorted(late)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_partially_fixed_params_stay_fixed():
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=1, n_startup_trials=6))

    def objective(trial):
        return (trial.suggest_float("x", 0, 1) - 0.2) ** 2 + trial.suggest_int("k", 0, 3)

    study.optimize(objective, n_trials=20)
    study.sampler = optuna.samplers.PartialFixedSampler({"k": 2}, study.sampler)
    study.optimize(objective, n_trials=20)
    assert {trial.params["k"] for trial in study.trials[20:]} == {2}
    assert len({trial.params["x"] for trial in study.trials[20:]}) == 20
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 40


def test_huge_values_are_used():
    study = optuna.create_study(sampler=hpo.MixedSampler(seed=1))
    study.optimize(lambda trial: (trial.suggest_float("x", 0.0, 1.0) - 0.5) * 1.5e308, n_trials=24)
    assert study.best_params["x"] < 0.05
