"""A Gaussian process for few, noisy values: mean and uncertainty of the objective at any point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr

Array = NDArray[np.float64]

ROOT5 = math.sqrt(5.0)
JITTER = 1e-8


@dataclass(frozen=True, slots=True)
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
    """

    points: Array
    values: Array
    lengths: Array
    amplitude: float
    noise: float
    factor: Array
    weights: Array

    @classmethod
    def of(cls, points: Array, values: Array, lengths: Array, amplitude: float, noise: float) -> Process:
        """Returns the posterior under these hyperparameters."""
        covariance = _kernel(squares(points, points), lengths, amplitude)
        covariance[np.diag_indices_from(covariance)] += noise + JITTER
        factor: Array = np.linalg.cholesky(covariance).astype(np.float64)
        weights = cho_solve((factor, True), values)
        return cls(points, values, lengths, amplitude, noise, factor, weights)

    @classmethod
    def fitted(cls, points: Array, values: Array) -> Process:
        """Returns the posterior under the hyperparameters that are likeliest given the values and these priors.

        Logs are normal: of a length about 0.6 sqrt(P / 2) with deviation 1, of the amplitude about 0 with 1, of the
        noise about -2.5 with 1.5.
        """
        count = len(points)
        centres = np.array([*[math.log(0.6 * math.sqrt(count / 2))] * count, 0.0, -2.5])
        deviations = np.array([*[1.0] * (count + 1), 1.5])
        apart = squares(points, points)

        def loss(logs: Array) -> tuple[float, Array]:
            value, slope = _minus_log_likelihood(logs, apart, values)
            off = (logs - centres) / deviations
            return value + 0.5 * float(off @ off), slope + off / deviations

        found = minimize(
            loss,
            centres,
            jac=True,
            method="L-BFGS-B",
            bounds=[(c - 5, c + 5) for c in centres],
            options={"maxiter": 60},
        )
        logs = np.asarray(found.x)
        return cls.of(points, values, np.exp(logs[:count]), float(np.exp(logs[count])), float(np.exp(logs[count + 1])))

    def at(self, points: Array) -> tuple[Array, Array]:
        """Returns mean (M,) and standard deviation (M,) of the function, noise left out, at (P, M, C) points."""
        between = _kernel(squares(points, self.points), self.lengths, self.amplitude)
        mean = between @ self.weights
        known = solve_triangular(self.factor, between.T, lower=True)
        return mean, np.sqrt(np.maximum(self.amplitude - np.sum(known**2, axis=0), 1e-12))

    def believing(self, points: Array) -> Process:
        """Returns the process that has seen its own means at (P, M, C) points: what is on its way is not asked twice.

        Source: Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010.
        """
        if points.shape[1] == 0:
            return self
        values = np.concatenate([self.values, self.at(points)[0]])
        both = np.concatenate([self.points, points], axis=1)
        return Process.of(both, values, self.lengths, self.amplitude, self.noise)


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Returns E[max(f - best, 0)] of normal f, (M,).

    Source: Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", 1998,
    equation 15.
    """
    scaled = (mean - best) / deviation
    density = np.exp(-0.5 * scaled**2) / math.sqrt(2 * math.pi)
    return np.asarray(deviation * (scaled * ndtr(scaled) + density))


def squares(one: Array, other: Array) -> Array:
    """Returns squared distances (P, N, M) between (P, N, C) and (P, M, C) points, by parameter.

    A parameter has C coordinates: a number one, a category one for each choice, and one says whether it is there.
    """
    return np.asarray(((one[:, :, None, :] - other[:, None, :, :]) ** 2).sum(axis=-1))


def _kernel(apart: Array, lengths: Array, amplitude: float) -> Array:
    far = ROOT5 * np.sqrt(np.tensordot(1 / lengths**2, apart, axes=1))
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
