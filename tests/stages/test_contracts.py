"""A component that breaks its contract fails the work with its name; nothing wrong is stored."""

import numpy as np
import pytest

from sai_bench.errors import ContractError, DatasetError, PluginError, SpecError, StageError

BROKEN = """
import numpy as np, sai_bench
from sai_bench.interfaces import Metric
from sai_bench_builtin.configs.decoder import PeakRegionsConfig
from sai_bench_builtin.decoders.peak_regions import PeakRegions

class Config(sai_bench.ComponentConfig):
    pass

class NanDecoder(PeakRegions):
    def __call__(self, sphere):
        candidates = super().__call__(sphere)
        candidates.scores[:] = float("nan")
        return candidates

class ListPrior(sai_bench.Prior):
    def __init__(self, config):
        pass
    def __call__(self, waveform, sample_rate_hz):
        frames = sai_bench.sphere.frame_count(waveform.shape[1], sample_rate_hz)
        return [[0.5] * frames] * 13

class ShortPrior(ListPrior):
    def __call__(self, waveform, sample_rate_hz):
        return np.zeros((13, 1))

class WordyPrior(ListPrior):
    def __call__(self, waveform, sample_rate_hz):
        return [["loud"] * 5] * 13

class TwicePrior(ListPrior):
    needs_fit = True
    def fit(self, examples, seed):
        passes = [[e.waveform.mean() for e in examples] for _ in range(2)]
        assert len(examples) == len(passes[0]) == 2 and passes[0] == passes[1]
        return {"mlp.0.weight": np.array(passes), "file": np.ones(1)}
    def load_weights(self, weights):
        assert weights["mlp.0.weight"].shape == (2, 2) and weights["file"].shape == (1,)

class ListWeightsPrior(TwicePrior):
    def fit(self, examples, seed):
        return [1, 2]

class ForgetfulPrior(TwicePrior):
    needs_fit = False

class HalfPrior(ListPrior):
    needs_fit = True
    def fit(self, examples, seed):
        return {}

class ExitMetric(Metric):
    def __init__(self, config):
        pass
    def score_recording(self, predictions, labels):
        raise SystemExit(0)
    def combine(self, recordings):
        return {}

class ObjectMetric(ExitMetric):
    def score_recording(self, predictions, labels):
        return {"a": [None]}

class OddMetric(ExitMetric):
    headline = ("nan", "odd")
    def score_recording(self, predictions, labels):
        return {"n": np.array(len(labels))}
    def combine(self, recordings):
        return {"nan": np.float64("nan"), "n": [np.int64(r["n"]) for r in recordings], "odd": self.odd()}
    def odd(self):
        return object()

class NumpyMetric(OddMetric):
    def odd(self):
        return np.array([1.5, np.inf])

@sai_bench.hookimpl
def sai_bench_register(register):
    register.component("decoder", "nan", NanDecoder, config=PeakRegionsConfig, summary="x")
    for name, target in {
        "list": ListPrior, "short": ShortPrior, "wordy": WordyPrior, "twice": TwicePrior,
        "list_weights": ListWeightsPrior, "forgetful": ForgetfulPrior, "half": HalfPrior,
    }.items():
        register.component("prior", name, target, config=Config, summary="x")
    metrics = {"exit": ExitMetric, "object": ObjectMetric, "odd": OddMetric, "np": NumpyMetric}
    for name, target in metrics.items():
        register.component("metric", name, target, config=Config, summary="x")
"""


@pytest.fixture
def broken(workshop):
    (workshop.folder / "broken.py").write_text(
        BROKEN.replace(
            "import numpy as np, sai_bench", "import numpy as np\nimport sai_bench\nimport sai_bench.sphere"
        )
    )
    workshop.spec.write_text(
        workshop.spec.read_text().replace("[toy_components.py]", "[toy_components.py, broken.py]")
    )
    return workshop


@pytest.mark.parametrize(
    ("override", "error", "says"),
    [
        ("system.decoder={use: nan}", ContractError, "Decoder NanDecoder returned scores that are NaN"),
        ("system.prior={use: short}", ContractError, r"Prior ShortPrior returned shape \(13, 1\)"),
        ("system.prior={use: wordy}", ContractError, "Prior WordyPrior returned no array of numbers"),
        ("system.prior={use: list_weights}", ContractError, "fit returned list, expected a dict"),
        ("system.prior={use: forgetful}", ContractError, "defines fit, but would never be fitted"),
        ("system.prior={use: half}", ContractError, "does not define load_weights"),
        ("evaluation.metrics=[{use: exit}]", StageError, "SystemExit"),
        ("evaluation.metrics=[{use: object}]", ContractError, "Array 'a' of list cannot be stored"),
        ("evaluation.metrics=[{use: odd}]", ContractError, "Metric 'odd' returned object under 'odd'"),
        ("data.names=[one, one]", DatasetError, "several recordings named one"),
        ("evaluation.split=tset", DatasetError, "Did you mean 'test'"),
        ("data.unlabelled=[one, two]", DatasetError, "no labelled recordings"),
        ("system.prior={use: table, table: absent.txt}", StageError, "absent.txt"),
    ],
)
def test_it_is_named_and_no_record_is_written(broken, override, error, says):
    with pytest.raises(error, match=says):
        broken.run(override)
    assert not (broken.folder / "run" / "result.json").exists()


def test_lists_are_arrays_too(broken):
    record, _ = broken.run("system.prior={use: list}")
    assert record.variants["toy"].files["detections"] > 0


def test_a_prior_can_go_through_its_examples_again_and_name_its_weights_as_it_likes(broken):
    record, _ = broken.run("system.prior={use: twice}")
    assert record.variants["toy"].fits["prior"].recordings == 2


def test_numbers_of_metrics_become_plain(broken):
    record, _ = broken.run("evaluation.metrics=[{use: np}]")
    assert record.variants["toy"].metrics["np"] == {"nan": None, "n": [1, 1], "odd": [1.5, None]}


def test_unlabelled_recordings_are_predicted_but_not_scored(broken):
    from sai_bench.progress import Reporter
    from sai_bench.running import open_context, predict_only
    from sai_bench.spec import load_spec

    record, said = broken.run("data.unlabelled=[two]")
    assert record.data.recordings == 1
    assert "1 recordings without labels are left out" in said
    spec = load_spec(broken.spec, overrides=["data.unlabelled=[one, two]"])
    folder = predict_only(spec, broken.folder / "all", open_context(broken.folder / "cache", Reporter(), 1))
    assert sorted(path.name for path in folder.iterdir()) == ["one.json", "two.json"]


def test_a_plugin_that_changes_during_a_run_stops_it(broken, monkeypatch):
    from sai_bench.stages import works

    plugin = broken.folder / "toy_components.py"
    original = works.Detect.__call__

    def edit_meanwhile(self, recording):
        plugin.write_text(plugin.read_text() + "# edited\n")
        return original(self, recording)

    monkeypatch.setattr(works.Detect, "__call__", edit_meanwhile)
    with pytest.raises(PluginError, match=r"toy_components\.py: this plugin was changed"):
        broken.run()


def test_a_variant_cannot_take_the_name_of_the_spec(broken):
    with pytest.raises(SpecError, match=r"variants\.toy: a variant cannot be named like the spec"):
        broken.run("variants={toy: {system.fusion: {use: none}}}")


def test_a_variant_on_other_data_says_so(broken):
    record, _ = broken.run("variants={single: {data.names: [one]}}")
    single = record.variants["single"]
    assert record.data.recordings == 2
    assert single.data.recordings == 1
    assert record.variants["toy"].data is None
    assert any("single: other data" in note for note in record.notes)


def test_every_stored_array_can_be_read_back(broken):
    from sai_bench.files import read_arrays

    broken.run()
    stored = [*(broken.folder / "cache").rglob("*.npz")]
    assert len(stored) >= 8
    for path in stored:
        assert all(isinstance(array, np.ndarray) for array in read_arrays(path).values())
