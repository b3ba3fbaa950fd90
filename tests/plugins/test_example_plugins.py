import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sai_bench.plugin_loading import load_plugins
from sai_bench.sphere import angle_between_deg, azimuth_deg, elevation_deg

PLUGINS = Path(__file__).parents[2] / "plugins"
DISTRIBUTION = PLUGINS / "example_distribution"


@pytest.fixture
def cone(monkeypatch):
    monkeypatch.syspath_prepend(str(DISTRIBUTION))
    from sai_bench_cone.compressor import Cone
    from sai_bench_cone.configs import ConeConfig

    return lambda **keys: Cone(ConeConfig(**keys))


def cap(azimuth, elevation, radius_deg):
    """All pixels within a radius, energy falling towards the rim."""
    y, x = np.mgrid[:180, :360]
    distance = angle_between_deg(azimuth_deg(x), elevation_deg(y), azimuth, elevation)
    rows, columns = np.nonzero(distance <= radius_deg)
    return np.stack([columns, rows, 1 - 0.9 * distance[rows, columns] / radius_deg], axis=1)


def test_the_single_file_computes_the_mean_that_it_promises():
    component = load_plugins([PLUGINS / "example_single_file.py"]).registry.get("fusion", "mean")
    fuse = component.load_class()(component.load_config()(weight=0.25))
    p = np.zeros((13, 5))
    p[3, 4], p[7, 0] = 1.0, 0.4
    fused = fuse(np.array([0.8, 0.2]), np.array([3, 7]), np.array([4, 0]), p)
    np.testing.assert_allclose(fused, [0.75 * 0.8 + 0.25 * 1.0, 0.75 * 0.2 + 0.25 * 0.4])


def test_the_single_file_is_about_fifteen_lines_of_code():
    lines = (PLUGINS / "example_single_file.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith('"""')]
    assert len(code) <= 16


def test_the_example_distribution_loads_as_if_installed(install, load_in_fresh_process):
    project = tomllib.loads((DISTRIBUTION / "pyproject.toml").read_text())["project"]
    folder = install(project["name"], project["entry-points"]["sai_bench"], version=project["version"])
    report = load_in_fresh_process(folder, DISTRIBUTION)
    assert report["warnings"] == []
    assert ["compressor", "cone", "sai-bench-cone 0.1.0"] in report["components"]
    assert {"sai_bench_cone.compressor", "numpy", "pydantic"}.isdisjoint(report["modules"])


def test_the_example_distribution_is_not_installed_with_sai_bench(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import sai_bench_cone"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize(("azimuth", "elevation"), [(30, 0), (180, 40), (-170, -70), (0, 89)])
def test_a_cone_covers_the_cap_that_it_stands_for(cone, azimuth, elevation):
    points = cap(azimuth, elevation, 20)
    [got] = cone(spacing_deg=5)([points], np.ones(1))
    assert len(got) < len(points) / 10
    distance = angle_between_deg(azimuth_deg(got[:, 0]), elevation_deg(got[:, 1]), azimuth, elevation)
    assert distance[0] < 1.5
    assert 18.5 < distance.max() < 21.5
    assert got[0, 2] == points[:, 2].max() == got[:, 2].max()
    np.testing.assert_allclose(got[:, 2], 1 - 0.9 * distance / 20, atol=0.07)


def test_a_cone_has_whole_distinct_pixels_on_the_image(cone):
    [got] = cone()([cap(179.6, 88, 15)], np.ones(1))
    np.testing.assert_array_equal(got[:, :2], np.rint(got[:, :2]))
    assert len(np.unique(got[:, :2], axis=0)) == len(got)
    assert 0 <= got[:, 0].min() <= got[:, 0].max() < 360
    assert 0 <= got[:, 1].min() <= got[:, 1].max() <= 179


def test_single_points_empty_masks_and_opposite_points_are_handled(cone):
    single, empty = np.array([[10.0, 20.0, 0.5]]), np.empty((0, 3))
    opposite = np.array([[0.0, 89.5, 1.0], [180.0, 89.5, 1.0]])
    got = cone()([single, empty, opposite], np.ones(3))
    np.testing.assert_allclose(got[0][0], single[0])
    assert got[1].shape == (0, 3)
    assert np.isfinite(got[2]).all()
