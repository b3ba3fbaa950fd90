"""Wrong input: one clear message, exit code 2, no traceback, nothing half-written."""

import numpy as np
import pytest
import soundfile

SPEC = """\
name: plain
system:
  front_end: {use: stft}
  backbone: {use: steered_power, grid_height: 18, grid_width: 36}
  decoder: {use: peak_regions}
  prior: {use: uniform}
  fusion: {use: none}
  compressor: {use: dense}
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(SPEC)
    return path


def wav(path, samples, rate=24000):
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def noise(channels, samples=12000):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (samples, channels))


def with_nan(samples):
    samples[5, 1] = np.nan
    return samples


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (noise(1), "has 1 channel, expected 4 channels (MIC) or 32 channels (em32)"),
        (noise(3), "has 3 channels"),
        (with_nan(noise(4)), "1 sample is NaN or infinite, in channel 2"),
        (noise(4, 0), "shorter than one label frame"),
        (noise(4, 1000), "shorter than one label frame"),
    ],
    ids=["mono", "three_channels", "nan", "empty", "too_short"],
)
def test_detect_refuses_a_recording_with_the_reason(sai_bench, spec, tmp_path, samples, says):
    bad = wav(tmp_path / "bad.wav", samples)
    done = sai_bench("detect", spec, bad, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err.count("error:") == 1
    assert "bad.wav" in done.err
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_detect_names_all_bad_recordings_before_it_works_on_any(sai_bench, spec, tmp_path):
    good = wav(tmp_path / "good.wav", noise(4))
    (tmp_path / "text.wav").write_text("no audio")
    bad = [wav(tmp_path / "mono.wav", noise(1)), tmp_path / "text.wav", tmp_path / "absent.wav"]
    done = sai_bench("detect", spec, good, *bad, "--out", tmp_path / "out")
    assert done.code == 2
    for path in bad:
        assert path.name in done.err
    assert not (tmp_path / "out").exists()


def test_detect_refuses_two_recordings_of_one_name(sai_bench, spec, tmp_path):
    (tmp_path / "other").mkdir()
    paths = [wav(tmp_path / "a.wav", noise(4)), wav(tmp_path / "other" / "a.wav", noise(4))]
    done = sai_bench("detect", spec, *paths, "--out", tmp_path / "out")
    assert done.code == 2
    assert "would overwrite" in done.err


@pytest.mark.parametrize(("channels", "rate"), [(4, 44100), (32, 16000), (4, 8000)])
def test_detect_takes_any_rate_and_both_arrays(sai_bench, spec, tmp_path, channels, rate):
    recording = wav(tmp_path / "mine.wav", noise(channels, rate), rate)
    done = sai_bench("detect", spec, recording, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "in 10 frames" in done.out
    assert (tmp_path / "out" / "mine.json").exists()
    assert (tmp_path / "out" / "mine.png").exists()


FAULTY_PRIOR = """\
import numpy as np

import sai_bench
from sai_bench.config import ComponentConfig
from sai_bench.interfaces import Prior
from sai_bench.sphere import frame_count


class OfLoud(Prior):
    def __init__(self, config):
        pass

    def __call__(self, waveform, sample_rate_hz):
        p = np.nan if waveform.max() > 0.9 else 0.5
        return np.full((13, frame_count(waveform.shape[1], sample_rate_hz)), p)


@sai_bench.hookimpl
def sai_bench_register(register):
    register.component("prior", "of_loud", OfLoud, config=ComponentConfig, summary="NaN for loud ones")
"""


def test_detect_names_the_recording_with_which_a_component_broke_its_contract(sai_bench, spec, tmp_path):
    plugin = tmp_path / "faulty.py"
    plugin.write_text(FAULTY_PRIOR)
    quiet, loud = wav(tmp_path / "quiet.wav", noise(4)), wav(tmp_path / "loud.wav", 2 * noise(4))
    arguments = ("--out", tmp_path / "out", "--plugin", plugin, "--set", "system.prior.use=of_loud")
    done = sai_bench("detect", spec, quiet, loud, *arguments)
    assert done.code == 1
    assert "loud.wav: detection failed: Prior OfLoud returned values outside [0, 1] or NaN" in done.err
    assert (tmp_path / "out" / "quiet.json").exists()


def test_silence_gives_no_detections_and_no_failure(sai_bench, spec, tmp_path):
    recording = wav(tmp_path / "silence.wav", np.zeros((24000, 4)))
    done = sai_bench("detect", spec, recording, "--out", tmp_path / "out")
    assert done.code == 0
    assert "0 detections in 10 frames" in done.out
    assert (tmp_path / "out" / "silence.json").read_text() == '{"annotations":[]}'


def test_a_recording_shorter_than_the_window_works(sai_bench, spec, tmp_path):
    recording = wav(tmp_path / "short.wav", noise(4, 2400))
    done = sai_bench("detect", spec, recording, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "in 1 frames" in done.out


@pytest.mark.parametrize("seconds", ["0", "nan", "inf", "1e9"])
def test_bench_wants_a_stretch_of_noise_that_ends(sai_bench, spec, seconds):
    done = sai_bench("bench", spec, "--seconds", seconds)
    assert done.code == 2
    assert "--seconds" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "system.fusion.alhpa=1"), "system.fusion.alhpa: unknown key"),
        (("--set", "system.prior.probability=2"), "expected a number of at most 1"),
        (("--set", "nonsense"), "--set nonsense"),
        (("--plugin", "absent.py"), "absent.py"),
        (("--set", "system.decoder.use=peak_region"), "Did you mean 'peak_regions'?"),
        (("--set", "system.front_end.hop_samples=7"), "hop_samples"),
    ],
)
def test_wrong_options_are_explained(sai_bench, spec, arguments, says):
    done = sai_bench("check", spec, *arguments)
    assert done.code == 2
    assert says in done.err


def test_a_plugin_that_raises_is_the_users_business(sai_bench, spec, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module\n")
    done = sai_bench("check", spec, "--plugin", broken)
    assert done.code == 2
    assert "broken.py" in done.err
    assert "no_such_module" in done.err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("run", "Stopped. Run the same command again to go on where it stopped.\n"),
        ("export-weights", "Stopped. Run the same command again to go on where it stopped.\n"),
        ("bench", "Stopped.\n"),
        ("describe", "Stopped.\n"),
        ("load", "Stopped.\n"),
    ],
)
def test_only_commands_that_keep_something_say_that_they_go_on(monkeypatch, capfd, command, told):
    from sai_bench.cli.main import main

    def app():
        raise SystemExit(130)  # as typer does after Ctrl-C

    monkeypatch.setattr("sai_bench.cli.main.app", app)
    monkeypatch.setattr("sys.argv", ["sai-bench", command, "run"])
    with pytest.raises(SystemExit):
        main()
    assert capfd.readouterr().err == told


def test_a_component_that_raises_fails_the_work_and_is_shown_with_its_traceback(monkeypatch, capfd, tmp_path):

    from sai_bench.cli.main import main
    from sai_bench.errors import StageError

    def app():
        try:
            raise ZeroDivisionError("in my prior")
        except ZeroDivisionError as error:
            raise StageError("Stage prior failed on recording a") from error

    monkeypatch.setattr("sai_bench.cli.main.app", app)
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 1
    told = capfd.readouterr().err
    assert "ZeroDivisionError: in my prior" in told
    assert told.strip().splitlines()[-1] == "error: Stage prior failed on recording a"
