"""Multi-label logistic regression: weighted, ridge-penalised linear classifiers, fitted together."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit


def log_loss_and_gradient(
    parameters: np.ndarray, features: np.ndarray, targets: np.ndarray, weights: np.ndarray, l2: float
) -> tuple[float, np.ndarray]:
    """Return the summed loss of all classes and its gradient.

    For class k, with z = features w_k + b_k:
    sum_i weights_ik (log(1 + exp(z_i)) - y_ik z_i) / sum_i weights_ik + l2/2 |w_k|^2. The intercept b_k is
    not penalised.

    Args:
        parameters: [(D + 1) K], row D of the matrix holds the intercepts.
        features: [n, D].
        targets: [n, K] of 0 and 1.
        weights: [n, K], each class summing to 1.
        l2: weight of the penalty.
    """
    matrix = parameters.reshape(features.shape[1] + 1, -1)
    coefficients, intercept = matrix[:-1], matrix[-1]
    z = features @ coefficients + intercept
    loss = np.sum(weights * (np.logaddexp(0, z) - targets * z)) + l2 / 2 * np.sum(coefficients**2)
    residual = weights * (expit(z) - targets)
    gradient = np.vstack([features.T @ residual + l2 * coefficients, residual.sum(axis=0)])
    return float(loss), gradient.ravel()


def fit_logistic_regression(
    features: np.ndarray, targets: np.ndarray, l2: float, class_balance: float, iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients [K, D] and intercepts [K] that minimise the loss (L-BFGS from zero).

    A class that is never (or always) active has no finite optimum; it gets coefficients 0 and the intercept
    of half an imagined frame of the other kind, log(0.5 / (n + 0.5)) (or its negative).

    Args:
        features: [n, D] float64, standardised, n >= 1.
        targets: [n, K] bool.
        l2: weight of the penalty.
        class_balance: positives weigh (negatives / positives)^class_balance.
        iterations: the most L-BFGS iterations.
    """
    count, size = features.shape
    positives = targets.sum(axis=0)
    coefficients = np.zeros((targets.shape[1], size))
    intercept = np.log((positives + 0.5) / (count - positives + 0.5))
    learned = np.flatnonzero((positives > 0) & (positives < count))
    if not len(learned):
        return coefficients, intercept
    labels = targets[:, learned].astype(float)
    ratio = (count - positives[learned]) / positives[learned]
    weights = np.where(labels > 0, ratio**class_balance, 1.0)
    weights /= weights.sum(axis=0)
    start = np.zeros((size + 1, len(learned)))
    start[-1] = intercept[learned]
    result = minimize(
        log_loss_and_gradient,
        start.ravel(),
        args=(features, labels, weights, l2),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "maxcor": 20, "gtol": 1e-6},
    )
    matrix = result.x.reshape(size + 1, -1)
    coefficients[learned], intercept[learned] = matrix[:-1].T, matrix[-1]
    return coefficients, intercept
