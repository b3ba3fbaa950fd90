"""The official evaluator's own numbers of June, and the plain implementation's."""

import json

import numpy as np
import pytest

CASE_NAMES = ("sparse", "fractional", "dense")
NOT_THE_METRICS = {"_matched", "_skipped"}


@pytest.fixture(scope="module")
def scored(june, june_files):
    results = {}
    for case in CASE_NAMES:
        parts = [
            june.score_recording(june.read(predictions, "prediction"), june.read(labels, "label"))
            for labels, predictions in june_files(case)
        ]
        results[case] = parts, june.combine(parts)
    return results


def flat(value, path=""):
    """Return {path: number} of nested dicts and lists."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: number for name, item in items for key, number in flat(item, f"{path}/{name}").items()}
    return {path: value}


@pytest.mark.parametrize("case", CASE_NAMES)
def test_every_number_is_the_official_evaluators(scored, june_expected, case):
    wanted = {key: value for key, value in june_expected[case].items() if key not in NOT_THE_METRICS}
    ours = flat({key: scored[case][1][key] for key in wanted})
    wanted = flat(wanted)
    assert ours.keys() == wanted.keys()
    assert len(wanted) > 100
    for path, value in wanted.items():
        assert ours[path] == (None if value is None else pytest.approx(value, abs=1e-9, rel=0)), path


@pytest.mark.parametrize("case", CASE_NAMES)
def test_result_is_json_ready(scored, case):
    result = scored[case][1]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize("case", CASE_NAMES)
def test_parts_survive_the_cache(june, scored, case, tmp_path):
    parts, result = scored[case]
    for index, part in enumerate(parts):
        np.savez_compressed(tmp_path / f"{index}.npz", **part)
    cached = [np.load(tmp_path / f"{index}.npz", allow_pickle=False) for index in range(len(parts))]
    assert june.combine(cached) == result
    assert june.warnings(cached) == june.warnings(parts)


@pytest.mark.parametrize("case", CASE_NAMES)
def test_without_ties_every_order_gives_the_official_number(scored, case):
    ties = scored[case][1]["ties"]
    assert ties["within_classes"] == ties["over_all_classes"] == 0
    assert ties["official"] == ties["stable"] == ties["best"] == ties["worst"]
    assert ties["official"]["macro_mAP"] == scored[case][1]["macro_mAP"]


@pytest.mark.parametrize("case", CASE_NAMES)
def test_plain_implementation_reproduces_the_official_evaluator(plain_june, june_files, june_expected, case):
    result = plain_june.evaluate([tuple(map(plain_june.load, files)) for files in june_files(case)])
    expected = june_expected[case]
    for name in result.keys() - {"per_class"}:
        np.testing.assert_allclose(result[name], expected[name], rtol=0, atol=1e-12)
    for own, theirs in zip(result["per_class"], expected["per_class"].values(), strict=True):
        for name, value in own.items():
            np.testing.assert_allclose(
                np.array(value, float), np.array(theirs[name], float), rtol=0, atol=1e-12
            )


@pytest.mark.parametrize("seed", range(4))
def test_random_recordings_score_as_in_the_plain_implementation(june, plain_june, seed, as_dicts, region):
    rng = np.random.default_rng(seed)
    labels, predictions = [], []
    for frame in range(12):
        for category in rng.integers(-1, 5, 4).tolist():
            centre = rng.uniform([0, 0], [360, 180])
            for side, share in ((labels, 0.8), (predictions, 0.9)):
                if rng.random() > share:
                    continue
                count = int(rng.choice([0, 1, 2, 5, 20, 40]))
                points = centre + rng.normal(0, 9, (count, 2))
                points = np.column_stack([points[:, 0] % 360, np.clip(points[:, 1], 0, 180)])
                points = np.round(points, int(rng.choice([0, 2])))
                intensity = rng.uniform(-0.05, 1, count)
                score = float(rng.random()) if side is predictions else None
                made = np.column_stack([points, intensity])
                side.append(region(made, category, frame, score))
    result = june.combine([june.score_recording(predictions, labels)])
    plain = plain_june.evaluate([(as_dicts(labels), as_dicts(predictions))])
    assert plain["macro_mAP"] > 0
    for name in plain.keys() - {"per_class"}:
        np.testing.assert_allclose(result[name], plain[name], rtol=0, atol=1e-9)
    for own, theirs in zip(result["per_class"].values(), plain["per_class"], strict=True):
        assert (own["n_gt"], own["n_det"], own["pearson_n"]) == (
            theirs["n_gt"],
            theirs["n_det"],
            theirs["pearson_n"],
        )
