"""Segments of a training: sound and labels that belong together, whoever reads them, however often."""

from __future__ import annotations

import os
import signal

import msgspec
import numpy as np
import pytest
import soundfile
import torch

from sai_bench.audio import resample
from sai_bench.errors import AudioError, DatasetError, StageError
from sai_bench.interfaces import Dataset, Recording, RenderedRecording
from sai_bench.predictions import Annotation, AnnotationFile
from sai_bench.spec.training_settings import DetectorStageSettings
from sai_bench.sphere import em32_array, mic_array
from sai_bench.training.segment_audio import read_segment
from sai_bench.training.segments import make_loader, validation_batches

RATE, GRID = 2400, (36, 72)
FRAME = RATE // 10
FIRST_ROW, FIRST_COLUMN = 7, 10


def telling_waveform(frames, channels, recording):
    """Samples that say channel, recording and label frame: in a frame all of a channel's are equal."""
    frame = np.repeat(np.arange(frames), FRAME)
    return (frame / 1000 + recording / 10 + np.arange(channels)[:, None] / 10_000).astype(np.float32)


def telling_labels(frames, recording):
    """In frame n of recording r a dot in column 10 + 2 n of row 7 + 30 r; in odd frames another below it."""
    annotations = []
    for n in range(frames):
        for event in range(1 + n % 2):
            x, y = FIRST_COLUMN + 2.0 * n, FIRST_ROW + 30.0 * (recording % 2) + 90 * event
            annotations.append(Annotation(n, event + 2 * recording, [[(x, y, 1.0)]], instance_id=event))
    return annotations


def write_recording(folder, number, frames, array):
    name = f"room{number}"
    audio, labels = folder / f"{name}.wav", folder / f"{name}_std.json"
    waveform = telling_waveform(frames, array.microphones, number)
    soundfile.write(audio, waveform.T, RATE, subtype="FLOAT")
    labels.write_bytes(msgspec.json.encode(AnnotationFile(telling_labels(frames, number))))
    return Recording(name, audio, labels, array, "unused")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mic")
    return [write_recording(folder, n, frames, mic_array()) for n, frames in enumerate([45, 30])]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("masks")


def settings(**keys):
    short = {"steps": 6, "batch_segments": 4, "segment_s": 1.0, "loader_workers": 0}
    return DetectorStageSettings(**(short | keys))


@pytest.fixture
def batches(recordings, cache):
    def loaded(stage=None, dataset=None, given=None, **keys):
        keys = {
            "microphones": "mic",
            "sample_rate_hz": RATE,
            "grids": [GRID],
            "seed": 3,
            **keys,
        }
        given = recordings if given is None else given
        return make_loader(stage or settings(), given, dataset, cache=cache, **keys)

    return loaded


def same(a, b):
    return (
        a.names == b.names
        and torch.equal(a.waveform, b.waveform)
        and torch.equal(a.targets.classes, b.targets.classes)
        and torch.equal(a.targets.instances, b.targets.instances)
        and a.targets.masks.keys() == b.targets.masks.keys()
        and all(torch.equal(a.targets.masks[g], b.targets.masks[g]) for g in a.targets.masks)
    )


def test_a_batch_has_the_shapes_that_training_expects(batches):
    loader = batches(settings(), grids=[GRID, (45, 90)])
    assert len(loader) == 6
    for batch in loader:
        assert batch.waveform.shape == (4, 4, RATE)
        assert batch.waveform.dtype == torch.float32
        assert batch.targets.classes.shape == (4, 10, 2)
        assert batch.targets.classes.dtype == batch.targets.instances.dtype == torch.int64
        assert batch.targets.masks[GRID].shape == (4, 10, 2, *GRID)
        assert batch.targets.masks[45, 90].shape == (4, 10, 2, 45, 90)
        assert np.array_equal(batch.array.positions_m, mic_array().positions_m)


def test_sound_and_labels_are_of_the_same_frames(batches):
    places = set()
    for batch in batches(settings(steps=40)):
        for number, name in enumerate(batch.names):
            room, _, second, _ = name.split()
            recording, first = int(room[-1]), round(10 * float(second))
            places.add((recording, first))
            expected = telling_waveform(50, 4, recording)[:, first * FRAME :][:, :RATE]
            np.testing.assert_array_equal(batch.waveform[number], expected)
            for frame in range(10):
                events = range(1 + (first + frame) % 2)
                wanted = [event + 2 * recording for event in events]
                assert batch.targets.classes[number, frame].tolist() == [*wanted, -1][:2]
                for slot in events:
                    mask = batch.targets.masks[GRID][number, frame, slot]
                    row = (FIRST_ROW + 30 * recording + 90 * slot) // 5
                    column = (FIRST_COLUMN + 2 * (first + frame)) // 5
                    # The dot fills the evaluator's nearest position, which may reach into the next cell.
                    assert mask[row, column] > 0
                    assert mask[row - 1 : row + 2, column - 1 : column + 2].sum() == mask.sum()
                assert not batch.targets.masks[GRID][number, frame][
                    ~batch.targets.present[number, frame]
                ].any()
    assert len(places) > 40
    assert places <= {(0, n) for n in range(36)} | {(1, n) for n in range(21)}


def test_events_keep_their_number_through_a_segment(batches):
    for batch in batches():
        for classes, instances in zip(batch.targets.classes, batch.targets.instances, strict=True):
            for category in classes.unique():
                assert len(instances[classes == category].unique()) == 1
            assert ((instances == -1) == (classes == -1)).all()


def test_views_permute_channels_and_move_masks_together(batches):
    """The heard channels of a view and the place of the dot must come from the same view."""
    seen = set()
    stage = settings(steps=60, augmentation={"views": "all", "gain_db": 12}, segment_s=0.1)
    for batch, plain in zip(
        batches(stage, grids=[(180, 360)]), batches(settings(steps=60, segment_s=0.1)), strict=True
    ):
        assert batch.names == plain.names
        for number in range(4):
            first, same_place = plain.waveform[number, :, 0].numpy(), batch.waveform[number, :, 0].numpy()
            gain = same_place.sum() / first.sum()
            assert -12 <= 20 * np.log10(gain) <= 12
            order = tuple(np.abs(same_place[:, None] / gain - first).argmin(axis=1).tolist())
            dot = batch.targets.masks[180, 360][number, 0, 0].nonzero().float().mean(0)
            recording, frame = int(plain.names[number][4]), round(10 * float(plain.names[number].split()[2]))
            # What `test_views` shows to be right, as a table: channels -> where column x and row y go.
            shift, sign, flipped = EIGHT[order]
            # A dot fills pixels around the evaluator's nearest position, up to 1.8 pixels away.
            x, y = FIRST_COLUMN + 2 * frame, FIRST_ROW + 30 * recording
            assert abs((dot[1].item() - (shift + sign * x) + 180) % 360 - 180) <= 2
            assert abs(dot[0].item() - (179 - y if flipped else y)) <= 2
            seen.add(order)
    assert seen == set(EIGHT)


EIGHT = {
    (0, 1, 2, 3): (0, 1, False),
    (3, 2, 1, 0): (180, 1, False),
    (1, 3, 0, 2): (270, 1, True),
    (2, 0, 3, 1): (90, 1, True),
    (0, 2, 1, 3): (270, -1, False),
    (3, 1, 2, 0): (90, -1, False),
    (1, 0, 3, 2): (0, -1, True),
    (2, 3, 0, 1): (180, -1, True),
}


def test_em32_recordings_are_heard_by_the_capsules_of_the_four_yaws(batches, tmp_path):
    given = [write_recording(tmp_path, 0, 20, em32_array())]
    stage = settings(steps=12, augmentation={"views": "yaw"})
    heard = set()
    for batch in batches(stage, given=given):
        steps = (batch.waveform[:, :, 0] - batch.waveform[:, :, 0].floor()) * 10_000 % 10
        assert steps.shape == (4, 4)
        for number, name in enumerate(batch.names):
            frame = round(10 * float(name.split()[2]))
            heard.add(
                tuple(np.rint((batch.waveform[number, :, 0].numpy() - frame / 1000) * 10_000 + 1).astype(int))
            )
    assert heard == {(6, 10, 26, 22), (28, 8, 24, 12), (22, 26, 10, 6), (12, 24, 8, 28)}
    (whole,) = batches(settings(steps=1), given=given, microphones="all")
    assert whole.waveform.shape == (4, 32, RATE)


def test_a_resumed_training_hears_what_it_would_have_heard(batches):
    whole, resumed = list(batches()), list(batches(first_step=4))
    assert len(resumed) == 2
    assert all(same(a, b) for a, b in zip(whole[4:], resumed, strict=True))
    assert not same(whole[0], whole[4])
    assert not same(next(iter(batches(seed=4))), whole[0])


def test_nothing_depends_on_how_many_processes_read(batches):
    keys = {"augmentation": {"views": "all", "gain_db": 6}, "sampling": {"class_balance": 0.5}}
    alone = list(batches(settings(**keys)))
    for workers in (1, 2):
        shared = batches(settings(**keys, loader_workers=workers))
        assert all(same(a, b) for a, b in zip(shared, alone, strict=True))


def test_processes_share_the_segments_of_one_that_trains_alone(batches):
    shares = [list(batches(world=2, rank=rank)) for rank in range(2)]
    for step, alone in enumerate(batches()):
        assert torch.equal(torch.cat([share[step].waveform for share in shares]), alone.waveform)
        assert [name for share in shares for name in share[step].names] == alone.names


def test_reading_leaves_the_random_numbers_of_torch_alone(batches):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(batches(settings(steps=1, loader_workers=1)))
    assert torch.equal(torch.rand(3), expected)


def test_class_agnostic_targets_have_class_0(batches):
    for batch in batches(settings(targets={"class_agnostic": True})):
        assert batch.targets.class_agnostic
        assert batch.targets.classes.unique().tolist() == [-1, 0]


@pytest.mark.parametrize("rate", [1600, 4800, 2205, 2399])
def test_a_resampled_segment_is_a_part_of_the_resampled_recording(tmp_path, rate):
    noise = np.random.default_rng(0).standard_normal((3, 4 * RATE)).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise.T, RATE, subtype="FLOAT")
    whole = resample(noise[[2, 0]], RATE, rate)
    for first, frames in [(0, 10), (8, 10), (30, 10), (20, 4), (33, 10)]:
        part = read_segment(tmp_path / "noise.wav", (2, 0), first, frames, rate)
        begin = round(first * rate / 10)
        expected = whole[:, begin : begin + round(frames * rate / 10)]
        silence = np.zeros((2, part.shape[1] - expected.shape[1]))
        np.testing.assert_allclose(part, np.hstack([expected, silence]), atol=1e-5)


def test_a_recording_that_is_shorter_than_a_segment_is_followed_by_silence(batches, tmp_path):
    given = [write_recording(tmp_path, 0, 4, mic_array())]
    (batch,) = batches(settings(steps=1), given=given)
    assert not batch.waveform[..., 4 * FRAME :].any()
    np.testing.assert_array_equal(batch.waveform[0, :, : 4 * FRAME], telling_waveform(4, 4, 0))
    assert (batch.targets.classes[:, 4:] == -1).all()
    assert (batch.targets.classes[:, :4, 0] == 0).all()


def test_validation_goes_through_everything_once_in_order(recordings, cache):
    keys = {"microphones": "mic", "sample_rate_hz": RATE, "grids": [GRID], "cache": cache}
    stage = settings(augmentation={"views": "all", "gain_db": 20})
    loader = validation_batches(stage, recordings, **keys)
    expected = [f"room0 at {s:.1f} s" for s in range(4)] + [f"room1 at {s:.1f} s" for s in range(3)]
    for _ in range(2):
        assert [name for batch in loader for name in batch.names] == expected
    assert len(loader) == 2
    first = next(iter(loader))
    np.testing.assert_array_equal(first.waveform[1], telling_waveform(45, 4, 0)[:, RATE : 2 * RATE])


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_samples_end_the_training_with_the_name_of_the_recording(batches, tmp_path, workers):
    recording = write_recording(tmp_path, 0, 20, mic_array())
    waveform = telling_waveform(20, 4, 0)
    waveform[2, 5 * FRAME : 15 * FRAME] = np.nan
    soundfile.write(recording.audio_path, waveform.T, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"^Recording room0: .*room0.wav: NaN or infinite samples near"):
        list(batches(settings(loader_workers=workers), given=[recording]))


def test_one_split_has_one_array(batches, recordings, tmp_path):
    other = write_recording(tmp_path, 3, 20, em32_array())
    with pytest.raises(DatasetError, match="room0 and room3 are of different arrays"):
        batches(given=[*recordings, other])


def test_nothing_to_learn_from_is_said(batches, tmp_path):
    with pytest.raises(DatasetError, match="no recordings"):
        batches(given=[])
    silent = write_recording(tmp_path, 0, 20, mic_array())
    silent.labels_path.write_bytes(msgspec.json.encode(AnnotationFile([])))
    with pytest.raises(DatasetError, match="no segment of split train has a label"):
        batches(settings(sampling={"silent_share": 0}), given=[silent])
    for batch in batches(given=[silent]):
        assert batch.targets.classes.shape == (4, 10, 1)
        assert not batch.targets.present.any()


class Endless(Dataset):
    """Renders recordings that tell their number; `fails_at` makes one of them fail."""

    renders_online = True

    def __init__(self, fails_at=None):
        self.asked, self.fails_at = [], fails_at

    def prepare(self, workers=1, reporter=None): ...

    root, manifest_sha256 = None, ""

    def splits(self):
        return ("train",)

    def recordings(self, split):
        return []

    def rendered(self, split, number, duration_s):
        self.asked.append((split, number, duration_s))
        if len(self.asked) == self.fails_at:
            raise ZeroDivisionError("no room")
        frames = round(10 * duration_s)
        waveform = telling_waveform(frames, 4, 0) + np.float32(number % 97)
        return RenderedRecording(waveform, RATE, mic_array(), telling_labels(frames, number % 2))


def online(**keys):
    return settings(sampling={"online": True}, **keys)


def test_online_segments_are_rendered_for_each_item_once(batches):
    dataset = Endless()
    whole = list(batches(online(), dataset, given=[]))
    numbers = [number for _, number, _ in dataset.asked[1:]]
    assert numbers == list(range(numbers[0], numbers[0] + 24))
    assert {(split, duration) for split, _, duration in dataset.asked} == {("train", 1.0)}
    assert [round(float(v)) for b in whole for v in b.waveform[:, 0, 0]] == [n % 97 for n in numbers]
    assert [v // 2 for b in whole for v in b.targets.classes[:, 0, 0].tolist()] == [n % 2 for n in numbers]
    assert all(same(a, b) for a, b in zip(batches(online(), Endless(), first_step=3), whole[3:], strict=True))
    assert not same(next(iter(batches(online(), Endless(), seed=9))), whole[0])


def test_a_data_set_that_fails_online_is_named_without_a_traceback(batches):
    with pytest.raises(StageError, match=r"^Rendering online recording \d+ of split train failed .*no room"):
        list(batches(online(), Endless(fails_at=9), given=[]))


def test_a_killed_reading_process_is_no_riddle(batches):
    class Killing(Endless):
        def rendered(self, split, number, duration_s):
            if os.getpid() != here:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().rendered(split, number, duration_s)

    here = os.getpid()
    with pytest.raises(StageError, match="A process that reads training segments was killed"):
        list(batches(online(loader_workers=1), Killing(), given=[]))
