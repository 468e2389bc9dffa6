"""A Gaussian process for few, noisy values: mean and uncertainty of the objective at any point."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

Array = NDArray[np.float64]

ROOT5 = math.sqrt(5.0)
JITTER = 1e-8
LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)

STEPS = 50
"""Number of steps of an ascent."""


class Mean(Protocol):
    """What is expected of a function before any of its values are known."""

    def at(self, points: Array) -> Array:
        """Returns the mean (M,) at (P, M, C) points."""
        ...

    def slope(self, points: Array) -> Array:
        """Returns the slope of the mean (P, M) in the numbers of (P, M, C) points."""
        ...


@dataclass(frozen=True)
class Process:
    """The posterior of a process with a Matern-5/2 kernel, a length for each of P parameters, and noise.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equations 2.25, 2.26 and 4.17.

    Attributes:
        points: (P, N, C) coordinates of N tried points, by parameter; see `squares`.
        values: (N,) standardised, more is better.
        lengths: (P,) length scales of the kernel.
        amplitude: variance of the function.
        noise: variance of a value around the function.
        factor: (N, N) lower Cholesky factor of the values' covariance.
        weights: (N,) its inverse times the values.
        prior: mean of the function before these values, which are what lies above it; None: zero.
    """

    points: Array
    values: Array
    lengths: Array
    amplitude: float
    noise: float
    factor: Array
    weights: Array
    prior: Mean | None = None

    @classmethod
    def of(cls, points: Array, values: Array, lengths: Array, amplitude: float, noise: float) -> Process:
        """Returns the posterior under these hyperparameters."""
        flat = _flat(points, lengths)
        covariance = _kernel(_far(flat, flat), amplitude)
        covariance[np.diag_indices_from(covariance)] += noise + JITTER
        factor: Array = np.linalg.cholesky(covariance).astype(np.float64)
        weights = cho_solve((factor, True), values)
        return cls(points, values, lengths, amplitude, noise, factor, weights)

    @classmethod
    def under(cls, points: Array, values: Array, logs: Array) -> Process:
        """Returns the posterior under hyperparameters given as `logs`."""
        *lengths, amplitude, noise = np.exp(logs)
        return cls.of(points, values, np.array(lengths), float(amplitude), float(noise))

    @cached_property
    def logs(self) -> Array:
        """(P + 2,) the logs of the lengths, the amplitude and the noise."""
        return np.log([*self.lengths, self.amplitude, self.noise])

    @cached_property
    def inverse(self) -> Array:
        """(N, N) the inverse of the values' covariance."""
        return np.asarray(cho_solve((self.factor, True), np.eye(len(self.values))))

    @cached_property
    def _scaled(self) -> Array:
        return _flat(self.points, self.lengths)

    def at(self, points: Array) -> tuple[Array, Array]:
        """Returns mean (M,) and standard deviation (M,) of the function, noise left out, at (P, M, C) points."""
        between = _kernel(_far(_flat(points, self.lengths), self._scaled), self.amplitude)
        mean = between @ self.weights
        if self.prior is not None:
            mean = mean + self.prior.at(points)
        known = solve_triangular(self.factor, between.T, lower=True, check_finite=False)
        return mean, np.sqrt(np.maximum(self.amplitude - np.sum(known**2, axis=0), 1e-12))

    def gain(self, points: Array, best: float) -> Array:
        """Returns the log expected improvement (M,) on `best` at (P, M, C) points."""
        return log_expected_improvement(*self.at(points), best)

    def gain_and_slope(self, points: Array, best: float) -> tuple[Array, Array]:
        """Returns the log expected improvement (M,) at (P, M, C) points, and its slope (P, M) in the numbers.

        The slope is that of the mean and the deviation, which follow from the slope of the kernel; a number is the
        first coordinate of its parameter.
        """
        far = _far(_flat(points, self.lengths), self._scaled)
        decay = self.amplitude * np.exp(-far)
        between = decay * (1 + far + far**2 / 3)
        solved = between @ self.inverse
        mean = between @ self.weights
        if self.prior is not None:
            mean = mean + self.prior.at(points)
        deviation = np.sqrt(np.maximum(self.amplitude - np.sum(between * solved, axis=1), 1e-12))
        scaled = (mean - best) / deviation
        height = _log_height(scaled)
        by_mean = np.exp(log_ndtr(scaled) - height) / deviation
        by_deviation = np.exp(-0.5 * scaled**2 - LOG_ROOT_TAU - height) / deviation
        by_kernel = by_mean[:, None] * self.weights - (by_deviation / deviation)[:, None] * solved
        slope = self._pulled(points, by_kernel * decay * (1 + far) * (-5 / 3))
        if self.prior is not None:
            slope = slope + by_mean * self.prior.slope(points)
        return np.log(deviation) + height, slope

    def mean_and_slope(self, points: Array) -> tuple[Array, Array]:
        """Returns the mean (M,) at (P, M, C) points, without a prior one, and its slope (P, M) in the numbers."""
        far = _far(_flat(points, self.lengths), self._scaled)
        decay = self.amplitude * np.exp(-far)
        mean = (decay * (1 + far + far**2 / 3)) @ self.weights
        return mean, self._pulled(points, self.weights * decay * (1 + far) * (-5 / 3))

    def _pulled(self, points: Array, pulls: Array) -> Array:
        """Returns the slope (P, M) from what each tried point adds to it (M, N)."""
        here, tried = points[:, :, 0], self.points[:, :, 0]
        return np.asarray((here * pulls.sum(axis=1) - tried @ pulls.T) / self.lengths[:, None] ** 2)

    def climbed(self, points: Array, free: NDArray[np.bool_], best: float) -> Array:
        """Returns points (P, M, C) whose free numbers have moved to where more improvement is expected, within 0 and 1.

        Args:
            points: coordinates from which the ascents begin.
            free: (P, M), whether a number may move.
            best: value to improve on.
        """
        rows, columns = np.nonzero(free)
        there = points.copy()
        if not len(rows):
            return there

        def loss(numbers: Array) -> tuple[float, Array]:
            there[rows, columns, 0] = numbers
            gain, slope = self.gain_and_slope(there, best)
            return -float(gain.sum()), -slope[rows, columns]

        found = minimize(
            loss,
            points[rows, columns, 0],
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(rows),
            options={"maxiter": STEPS},
        )
        there[rows, columns, 0] = np.clip(found.x, 0.0, 1.0)
        # the ascent is of the sum, so that some may have lost for others
        return np.where((self.gain(there, best) > self.gain(points, best))[None, :, None], there, points)

    def believing(self, points: Array) -> Process:
        """Returns the process that has seen its own means at (P, M, C) points: what is on its way is not asked twice.

        Source: Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010.
        """
        if points.shape[1] == 0:
            return self
        expected = self.at(points)[0]
        if self.prior is not None:
            expected = expected - self.prior.at(points)
        values = np.concatenate([self.values, expected])
        both = np.concatenate([self.points, points], axis=1)
        return replace(Process.of(both, values, self.lengths, self.amplitude, self.noise), prior=self.prior)


def likeliest(points: Array, values: Array, logs: Array | None = None) -> Array:
    """Returns the hyperparameters, as `Process.logs`, that are likeliest given the values and their priors.

    Args:
        points: (P, N, C) coordinates of the tried points, by parameter.
        values: (N,) their values, standardised.
        logs: earlier hyperparameters, from which the search for the likeliest begins as well; None: there are none.
    """
    return fit(points, values, logs)[0]


def fit(points: Array, values: Array, logs: Array | None = None) -> tuple[Array, float]:
    """Returns the likeliest hyperparameters, and the log of their probability and that of the values together.

    The latter leaves out a constant that depends on the numbers of values and parameters alone.

    Logs are normal: of a length about 0.6 sqrt(P / 2) with deviation 1, of the amplitude about 0 with 1, of the
    noise about -2.5 with 1.5.

    Args:
        points: (P, N, C) coordinates of the tried points, by parameter.
        values: (N,) their values, standardised.
        logs: earlier hyperparameters, from which the search for the likeliest begins as well; None: there are none.
    """
    centre = math.log(0.6 * math.sqrt(len(points) / 2))
    centres = np.array([*[centre] * len(points), 0.0, -2.5])
    deviations = np.array([*[1.0] * (len(points) + 1), 1.5])
    apart = squares(points, points)

    def loss(logs: Array) -> tuple[float, Array]:
        value, slope = _minus_log_likelihood(logs, apart, values)
        off = (logs - centres) / deviations
        return value + 0.5 * float(off @ off), slope + off / deviations

    limits, options = [(centre - 5, centre + 5) for centre in centres], {"maxiter": 60}
    starts = [centres] if logs is None else [centres, logs]
    ends = [minimize(loss, one, jac=True, method="L-BFGS-B", bounds=limits, options=options) for one in starts]
    best = min(ends, key=lambda end: float(end.fun))
    return np.asarray(best.x), -float(best.fun)


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Returns log E[max(f - best, 0)] of normal f, (M,), also where the improvement itself is too small for a float.

    Source: Ament and others, "Unexpected improvements to expected improvement for Bayesian optimization", 2023,
    equation 9.
    """
    return np.asarray(np.log(deviation) + _log_height((mean - best) / deviation))


def _log_height(scaled: Array) -> Array:
    """Returns log(density(z) + z probability(z)) of a standard normal."""
    low = np.minimum(scaled, -1.0)
    tail = 1 + low * math.sqrt(math.pi / 2) * erfcx(-low / math.sqrt(2))
    tail = np.where(low > -1e4, np.log(np.maximum(tail, 1e-300)), -2 * np.log(-low))
    high = np.maximum(scaled, -1.0)
    near = np.exp(-0.5 * high**2 - LOG_ROOT_TAU) + high * np.exp(log_ndtr(high))
    return np.where(scaled > -1.0, np.log(near), -0.5 * low**2 - LOG_ROOT_TAU + tail)


def squares(one: Array, other: Array) -> Array:
    """Returns squared distances (P, N, M) between (P, N, C) and (P, M, C) points, by parameter.

    A parameter has C coordinates: a number one, a category one for each choice, and one says whether it is there.
    """
    mixed = one @ other.transpose(0, 2, 1)
    apart = (one**2).sum(axis=-1)[:, :, None] + (other**2).sum(axis=-1)[:, None, :] - 2 * mixed
    return np.asarray(np.maximum(apart, 0.0))


def _flat(points: Array, lengths: Array) -> Array:
    """Returns points (P, M, C) in units of the lengths, as (M, P * C)."""
    return (points / lengths[:, None, None]).transpose(1, 0, 2).reshape(points.shape[1], -1)


def _far(one: Array, other: Array) -> Array:
    """Returns the distances (M, N) between (M, D) and (N, D) points, times the root of five."""
    apart = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(ROOT5 * np.sqrt(np.maximum(apart, 0.0)))


def _kernel(far: Array, amplitude: float) -> Array:
    return np.asarray(amplitude * (1 + far + far**2 / 3) * np.exp(-far))


def _minus_log_likelihood(logs: Array, apart: Array, values: Array) -> tuple[float, Array]:
    """Returns -log p(values) up to a constant and its slope in log lengths, log amplitude and log noise.

    Source: Rasmussen and Williams, 2006, equations 5.8 and 5.9.
    """
    count = len(apart)
    lengths, amplitude, noise = np.exp(logs[:count]), math.exp(logs[count]), math.exp(logs[count + 1])
    far = ROOT5 * np.sqrt(np.tensordot(1 / lengths**2, apart, axes=1))
    decay = amplitude * np.exp(-far)
    kernel = decay * (1 + far + far**2 / 3)
    covariance = kernel.copy()
    covariance[np.diag_indices_from(covariance)] += noise + JITTER
    try:
        factor = cho_factor(covariance, lower=True)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(logs)
    weights = cho_solve(factor, values)
    value = 0.5 * float(values @ weights) + float(np.log(np.diag(factor[0])).sum())
    rest = cho_solve(factor, np.eye(len(values))) - np.outer(weights, weights)
    by_length = np.tensordot(apart, rest * decay * (1 + far) * (5 / 3), axes=2) / lengths**2
    slope = 0.5 * np.concatenate([by_length, [float((rest * kernel).sum()), noise * float(np.trace(rest))]])
    return value, slope
