"""A decoder that averages over more label frames than segments have around them is noted."""

import pytest

from sai_bench.segments import segments
from sai_bench.spec import InferenceSettings, load_spec
from sai_bench.stages.pipeline import notes_on_networks

SPEC = """\
name: averaging
system:
  front_end: {use: stft, n_fft: 512, hop_samples: 480}
  backbone: {use: steered_masks}
  decoder: {use: class_discs, smoothing_frames: 8}
  prior: {use: uniform}
  fusion: {use: none}
  compressor: {use: dense}
"""
NOTE = (
    "decoder class_discs looks 8 label frames to either side, inference.context_s = 0.5 gives 5: frames at "
    "the ends of segments get less than the others. Set inference.context_s to 0.8 or more."
)


@pytest.fixture
def checked(sai_bench, tmp_path):
    def check(*overrides, text=SPEC):
        (tmp_path / "averaging.yaml").write_text(text)
        done = sai_bench("check", "averaging.yaml", *(part for key in overrides for part in ("--set", key)))
        assert done.code == 0, done.err
        return done.out.splitlines()

    return check


def test_check_says_how_long_the_context_should_be(checked):
    assert checked() == ["averaging.yaml: ok", f"averaging.yaml: note: {NOTE}"]


@pytest.mark.parametrize(
    "enough",
    [
        "inference.context_s=0.8",
        "system.decoder.smoothing_frames=5",
        "system.decoder={use: class_maps, activity_smoothing_frames: 5}",
        "system.decoder={use: mask_queries}",
    ],
)
def test_enough_context_needs_no_note(checked, enough):
    assert checked(enough) == ["averaging.yaml: ok"]


@pytest.mark.parametrize("decoder", ["class_discs", "class_maps"])
def test_averaged_activity_counts_too(checked, decoder):
    note = checked(f"system.decoder={{use: {decoder}, smoothing_frames: 2, activity_smoothing_frames: 6}}")[1]
    assert f"decoder {decoder} looks 6 label frames" in note
    assert "Set inference.context_s to 0.6 or more." in note


def test_variants_are_named_and_what_all_have_is_said_once(checked):
    variants = "variants:\n  more: {inference.context_s: 0}\n  same: {system.fusion: {use: power}}\n"
    lines = checked(text=SPEC + variants)
    assert lines[:2] == ["averaging.yaml: ok", f"averaging.yaml: note: {NOTE}"]
    assert len(lines) == 3
    assert "note: variants.more: decoder class_discs looks 8 label frames" in lines[2]


def test_runs_say_it_too(tmp_path):
    (tmp_path / "averaging.yaml").write_text(SPEC)
    spec = load_spec(tmp_path / "averaging.yaml")
    assert NOTE in notes_on_networks(spec)
    enough = load_spec(tmp_path / "averaging.yaml", overrides=["inference.context_s=0.8"])
    assert NOTE not in notes_on_networks(enough)
    assert len(notes_on_networks(enough)) == len(notes_on_networks(spec)) - 1


def test_the_context_that_the_note_asks_for_is_what_segments_then_hear():
    def least_heard(context_s):
        """Return the fewest frames that any frame inside a recording hears on one side of it."""
        cut = segments(600, InferenceSettings(segment_s=20.0, context_s=context_s))
        return min(
            min(frame - segment.begin, segment.end - 1 - frame)
            for segment in cut
            for frame in range(segment.first, segment.last)
            if 8 <= frame < 600 - 8
        )

    assert least_heard(0.5) == 5
    assert least_heard(0.8) == 8
