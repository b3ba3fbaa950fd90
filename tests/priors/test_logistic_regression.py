import warnings

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from sai_bench_builtin.priors.logistic_regression import fit_logistic_regression, log_loss_and_gradient


def problem(count=200, size=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, size))
    logits = features @ rng.standard_normal((size, classes)) - 0.5
    return features, rng.random((count, classes)) < 1 / (1 + np.exp(-logits))


def textbook_loss(parameters, features, target, l2, positive_weight=1.0):
    """One class, one sample at a time, as in a textbook."""
    *w, b = parameters
    total = weight_sum = 0.0
    for x, y in zip(features, target, strict=True):
        probability = 1 / (1 + np.exp(-(np.dot(w, x) + b)))
        weight = positive_weight if y else 1.0
        total -= weight * np.log(probability if y else 1 - probability)
        weight_sum += weight
    return total / weight_sum + l2 / 2 * np.dot(w, w)


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_solution_equals_a_textbook_loss_minimised_without_gradients(balance):
    features, targets = problem(count=80, size=2)
    coefficients, intercept = fit_logistic_regression(features, targets, 0.01, balance, 500)
    for k in range(targets.shape[1]):
        positives = targets[:, k].sum()
        weight = ((len(targets) - positives) / positives) ** balance
        oracle = minimize(
            textbook_loss,
            np.zeros(3),
            args=(features, targets[:, k], 0.01, weight),
            method="Nelder-Mead",
            options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 4000},
        )
        np.testing.assert_allclose([*coefficients[k], intercept[k]], oracle.x, atol=2e-4)


def test_gradient_equals_finite_differences():
    features, targets = problem(count=40)
    weights = np.random.default_rng(1).random(targets.shape)

    def loss(x):
        return log_loss_and_gradient(x, features, targets, weights, 0.1)[0]

    def gradient(x):
        return log_loss_and_gradient(x, features, targets, weights, 0.1)[1]

    start = np.random.default_rng(2).standard_normal(6 * 3)
    assert check_grad(loss, gradient, start) < 1e-4 * np.linalg.norm(gradient(start))


def test_finite_differences_vanish_at_the_optimum():
    features, targets = problem()
    coefficients, intercept = fit_logistic_regression(features, targets, 0.01, 0.0, 500)
    for k in range(3):
        best = np.array([*coefficients[k], intercept[k]])
        for i in range(len(best)):
            step = np.eye(len(best))[i] * 1e-4
            up, down = (textbook_loss(best + s, features, targets[:, k], 0.01) for s in (step, -step))
            assert abs(up - down) / 2e-4 < 1e-4


def test_one_binary_feature_gives_the_log_odds_of_the_two_groups():
    # Without a penalty the optimum is known: b = logit of group 0, b + w = logit of group 1.
    features = np.repeat([0.0, 1.0], 100)[:, None]
    targets = np.concatenate([np.arange(100) < 20, np.arange(100) < 70])[:, None]
    coefficients, intercept = fit_logistic_regression(features, targets, 1e-12, 0.0, 500)
    assert intercept[0] == pytest.approx(np.log(0.2 / 0.8), abs=1e-4)
    assert coefficients[0, 0] == pytest.approx(np.log(0.7 / 0.3) - np.log(0.2 / 0.8), abs=1e-4)


def test_a_useless_feature_gives_the_class_frequency():
    targets = np.arange(100)[:, None] < 13
    _, intercept = fit_logistic_regression(np.zeros((100, 1)), targets, 0.01, 0.0, 500)
    assert 1 / (1 + np.exp(-intercept[0])) == pytest.approx(0.13, abs=1e-5)


def test_full_balance_makes_a_useless_feature_give_one_half():
    targets = np.arange(100)[:, None] < 13
    _, intercept = fit_logistic_regression(np.zeros((100, 1)), targets, 0.01, 1.0, 500)
    assert intercept[0] == pytest.approx(0, abs=1e-5)


def test_probabilities_average_to_the_class_frequencies():
    # The gradient with respect to the unpenalised intercept is zero exactly then.
    features, targets = problem(count=500)
    coefficients, intercept = fit_logistic_regression(features, targets, 0.1, 0.0, 500)
    p = 1 / (1 + np.exp(-(features @ coefficients.T + intercept)))
    np.testing.assert_allclose(p.mean(axis=0), targets.mean(axis=0), atol=1e-5)


def test_classes_that_never_or_always_sound_get_finite_extreme_intercepts_without_warnings():
    features, targets = problem(count=200)
    targets[:, 0], targets[:, 2] = False, True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coefficients, intercept = fit_logistic_regression(features, targets, 1e-3, 1.0, 100)
    assert not coefficients[[0, 2]].any()
    assert intercept[0] == pytest.approx(np.log(0.5 / 200.5))
    assert intercept[2] == pytest.approx(-np.log(0.5 / 200.5))
    assert coefficients[1].any()


def test_separable_classes_stay_finite():
    features = np.linspace(-1, 1, 50)[:, None]
    coefficients, intercept = fit_logistic_regression(features, features > 0, 1e-3, 0.0, 500)
    assert np.isfinite(coefficients).all()
    assert np.isfinite(intercept).all()
    assert coefficients[0, 0] > 1


def test_fitting_classes_together_or_alone_gives_the_same():
    features, targets = problem()
    together, _ = fit_logistic_regression(features, targets, 0.01, 0.0, 500)
    for k in range(3):
        alone, _ = fit_logistic_regression(features, targets[:, [k]], 0.01, 0.0, 500)
        np.testing.assert_allclose(alone[0], together[k], atol=1e-4)
