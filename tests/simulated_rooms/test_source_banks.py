"""Sounds from files: found, checked, divided among splits, cut; and whole data sets rendered from them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from sai_bench.errors import DatasetError
from sai_bench.predictions import read_annotations
from sai_bench.progress import Reporter
from sai_bench.sphere import CLASS_NAMES
from sai_bench_builtin.configs.dataset import SimulatedRoomsConfig
from sai_bench_builtin.configs.source_bank import FolderSources, VctkSources
from sai_bench_builtin.datasets.simulated_rooms.dataset import SimulatedRooms
from sai_bench_builtin.datasets.source_banks import open_source_bank
from sai_bench_builtin.datasets.source_banks.file_bank import divide
from sai_bench_builtin.datasets.source_banks.sound_files import cut_sound
from sai_bench_builtin.datasets.source_banks.vctk import read_speaker_sexes

RATE = 24_000
SPEAKERS_092 = """ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p226  22  M    English    Surrey
p227  38  m    English
p228  22  F    English    Southern  England (mic2 files unavailable)
s5  22  F    British
p301  23  F    American    North Carolina
p302  20  M    Canadian    Montreal
p303  24  M    Canadian    Toronto
"""


def tone(path, hz, duration_s=1.0, rate=RATE, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = 0.3 * np.sin(2 * np.pi * hz * np.arange(int(duration_s * rate)) / rate)
    soundfile.write(path, np.tile(sound[:, None], channels), rate)
    return path


def strongest_hz(sound, rate=RATE):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return np.argmax(spectrum) * rate / len(sound)


@pytest.fixture
def sounds(tmp_path):
    """Two classes, each file with a pitch of its own."""
    folder = tmp_path / "sounds"
    for n in range(10):
        tone(folder / "Walk_footsteps" / f"deep/{n}.wav", 400 + 100 * n)
        tone(folder / "11" / f"{n}.flac", 2000 + 100 * n)
    return folder


def vctk(folder, layout, info):
    names = {"wav48": ["{0}_001.wav"], "wav48_silence_trimmed": ["{0}_001_mic1.flac", "{0}_001_mic2.flac"]}
    speakers = ["p225", "p226", "p227", "p228", "s5", "p301", "p302", "p303"]
    for n, speaker in enumerate(speakers):
        for k, name in enumerate(names[layout]):
            tone(folder / layout / speaker / name.format(speaker), 300 + 100 * n + 2000 * k, 0.4, 48_000)
    if info is not None:
        (folder / "speaker-info.txt").write_text(info)
    return folder


def folder_bank(folder, **keys):
    return open_source_bank(FolderSources(use="folder", folder=folder, **keys))


def vctk_bank(folder, **keys):
    shares = {"train": 0.5, "test": 0.5}
    return open_source_bank(VctkSources(use="vctk", folder=folder, split_shares=shares, **keys))


@pytest.mark.parametrize("spelling", ["Walk/footsteps", "walk_footsteps", "WALK-Footsteps", "6", "06"])
def test_a_class_folder_is_a_spelling_of_its_name_or_its_number(tmp_path, spelling):
    tone(tmp_path / spelling.replace("/", " ") / "a.WAV", 500)
    assert folder_bank(tmp_path, split_shares={"train": 1.0}).categories("train") == (6,)


@pytest.mark.parametrize("category", range(13))
def test_every_class_name_has_a_folder_spelling(tmp_path, category):
    tone(tmp_path / CLASS_NAMES[category].replace("/", "_") / "a.wav", 500)
    assert folder_bank(tmp_path, split_shares={"train": 1.0}).categories("train") == (category,)


def test_links_to_folders_are_followed_and_circles_and_hidden_files_are_not(tmp_path):
    tone(tmp_path / "store/a.wav", 500)
    tone(tmp_path / "bank/.trash/b.wav", 500)
    tone(tmp_path / "bank/bell/._a.wav", 500)
    (tmp_path / "bank/knock").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "store/circle").symlink_to(tmp_path / "store", target_is_directory=True)
    bank = folder_bank(tmp_path / "bank", split_shares={"train": 1.0})
    assert bank.files("train") == ["knock/a.wav"]


def test_no_file_is_in_two_splits_and_all_are_in_one(sounds):
    bank = folder_bank(sounds)
    files = [bank.files(split) for split in ("train", "validation", "test")]
    assert [len(f) for f in files] == [16, 2, 2]
    assert len(set().union(*files)) == 20
    assert bank.categories("test") == (6, 11)


def test_a_split_hears_its_own_files_only_and_all_of_them(sounds):
    bank = folder_bank(sounds, split_shares={"train": 0.7, "test": 0.3})
    for split in ("train", "test"):
        for category, base_hz in ((6, 400), (11, 2000)):
            heard = {
                round(strongest_hz(bank.sound(split, category, v, RATE // 2, RATE)) / 100) * 100
                for v in range(50)
            }
            own = {
                int(name.split("/")[-1].split(".")[0])
                for name in bank.files(split)
                if name.startswith("Walk" if category == 6 else "11/")
            }
            assert heard == {base_hz + 100 * n for n in own}


def test_the_origin_is_the_file_that_is_heard(sounds):
    bank = folder_bank(sounds)
    for variation in range(8):
        name = bank.origin("train", 11, variation)
        heard_hz = strongest_hz(bank.sound("train", 11, variation, RATE, RATE))
        assert heard_hz == pytest.approx(2000 + 100 * int(name.split("/")[-1].split(".")[0]), abs=5)


@pytest.mark.parametrize(
    ("count", "sizes"), [(10, [8, 1, 1]), (3, [1, 1, 1]), (2, [1, 1, 0]), (55, [44, 6, 5])]
)
def test_shares_are_met_and_every_split_gets_something_while_there_is_enough(count, sizes):
    names = [f"file{n}" for n in range(count)]
    divided = divide(names, {"train": 0.8, "validation": 0.1, "test": 0.1, "unused": 0.0})
    assert sorted((len(n) for n in divided.values()), reverse=True) == sizes
    assert sorted(n for part in divided.values() for n in part) == sorted(names)
    assert divide(reversed(names), {"train": 0.8, "validation": 0.1, "test": 0.1}) == divided


def test_a_long_sound_is_cut_where_it_is_not_silent(tmp_path):
    sound = np.zeros(6 * RATE)
    sound[4 * RATE : 5 * RATE] = 0.5 * np.sin(2 * np.pi * 700 * np.arange(RATE) / RATE)
    sound[: RATE // 10] = 0.5  # something at the start, so that the pause lies inside
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    starts = set()
    for seed in range(10):
        cut = cut_sound(tmp_path / "a.wav", np.random.default_rng(seed), RATE // 2, RATE)
        assert np.abs(cut).max() == pytest.approx(1)
        assert np.sqrt(np.mean(cut**2)) > 0.05
        starts.add(round(float(np.sum(cut**2)), 6))
    assert len(starts) > 1


def test_a_short_sound_is_played_over_and_over_with_fades(tmp_path):
    tone(tmp_path / "a.wav", 1000, duration_s=0.3)
    sound = cut_sound(tmp_path / "a.wav", np.random.default_rng(0), RATE, RATE)
    level = np.sqrt(np.mean(sound[:24_000].reshape(-1, 24) ** 2, axis=1))  # of each millisecond
    assert sound.shape == (RATE,)
    assert np.median(level) > 0.6
    joints = [0, 300, 600, 900, 999]
    assert all(level[max(j - 1, 0) : j + 1].min() < 0.2 for j in joints)
    quiet = np.flatnonzero(level < 0.5)
    assert all(min(abs(q - j) for j in joints) < 6 for q in quiet)


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1), (16_000, 1), (RATE, 4)])
def test_any_rate_and_channel_count_becomes_mono_at_the_asked_rate(tmp_path, rate, channels):
    path = tone(tmp_path / "a.flac", 1000, rate=rate, channels=channels)
    sound = cut_sound(path, np.random.default_rng(0), RATE, RATE)
    assert strongest_hz(sound) == pytest.approx(1000, abs=2)


def test_of_a_very_long_file_only_a_stretch_is_read(tmp_path, monkeypatch):
    path = tone(tmp_path / "a.wav", 500, duration_s=90, rate=8000)
    read = []
    original = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, n=-1, **k: read.append(n) or original(self, n, **k)
    )
    sound = cut_sound(path, np.random.default_rng(0), 8000, 8000)
    assert strongest_hz(sound, 8000) == pytest.approx(500, abs=2)
    assert read == [20 * 8000]


def test_unusable_files_are_reported_together_by_name(sounds):
    (sounds / "11/broken.wav").write_bytes(b"RIFF nonsense")
    (sounds / "11/nothing.wav").write_bytes(b"")
    soundfile.write(sounds / "Walk_footsteps/empty.wav", np.zeros(0), RATE)
    soundfile.write(sounds / "Walk_footsteps/click.wav", np.ones(20), RATE)
    whole = tone(sounds / "11/cut.wav", 400).read_bytes()
    (sounds / "11/cut.wav").write_bytes(whole[: len(whole) // 2])
    bank = folder_bank(sounds, split_shares={"train": 0.5, "test": 0.5})
    with pytest.raises(DatasetError) as caught:
        bank.check(["train", "test"])
    lines = str(caught.value).splitlines()
    assert str(sounds) in lines[0]
    for name in ("11/broken.wav", "11/nothing.wav", "11/cut.wav", "Walk_footsteps/empty.wav"):
        assert sum(name in line for line in lines) == 1
    assert any("click.wav: 0.8 ms" in line for line in lines)
    assert len(lines) == 6


def test_a_class_with_too_few_files_for_the_splits_is_reported(tmp_path):
    tone(tmp_path / "bell/only.wav", 500)
    with pytest.raises(DatasetError, match=r"split 'test' gets no sound of Bell \(1 file in all\)"):
        folder_bank(tmp_path).check(["train", "test"])


def test_a_silent_or_broken_sample_is_named_when_it_is_met(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan, dtype=np.float32), RATE, subtype="FLOAT")
    for name, what in (("silent", "silent"), ("nan", "NaN")):
        with pytest.raises(DatasetError, match=rf"{name}\.wav: .*{what}"):
            cut_sound(tmp_path / f"{name}.wav", np.random.default_rng(0), RATE, RATE)


def test_folders_that_are_no_class_are_named_with_a_guess(tmp_path):
    tone(tmp_path / "Bels/a.wav", 500)
    tone(tmp_path / "13/a.wav", 500)
    tone(tmp_path / "lost.wav", 500)
    with pytest.raises(DatasetError, match=r"13, Bels, lost\.wav\..*Expected folders named female_speech"):
        folder_bank(tmp_path)
    (tmp_path / "lost.wav").unlink()
    (tmp_path / "13/a.wav").unlink()
    with pytest.raises(DatasetError, match="Did you mean 'bell'"):
        folder_bank(tmp_path)


def test_missing_and_empty_folders_say_what_is_expected(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere: no such folder.*0 \.\.\. 12"):
        folder_bank(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no wav or flac"):
        folder_bank(tmp_path)
    with pytest.raises(DatasetError, match="no VCTK corpus"):
        vctk_bank(tmp_path)


SPEAKERS_080 = SPEAKERS_092.replace("\np", "\n").replace(" COMMENTS", "")


@pytest.mark.parametrize(
    ("layout", "info"),
    [("wav48", SPEAKERS_080), ("wav48_silence_trimmed", SPEAKERS_092)],
    ids=["0.80", "0.92"],
)
def test_vctk_speakers_have_their_sex_and_belong_to_one_split(tmp_path, layout, info):
    bank = vctk_bank(vctk(tmp_path, layout, info))
    assert bank.notes == ()
    speakers = {}
    for split in ("train", "test"):
        assert bank.categories(split) == (0, 1)
        for category, own in ((0, {"p225", "p228", "s5", "p301"}), (1, {"p226", "p227", "p302", "p303"})):
            names = [bank.origin(split, category, v) for v in range(40)]
            speakers[split, category] = {name.split("/")[1] for name in names}
            assert speakers[split, category] < own
            assert not any("mic2" in name for name in names)
    for category in (0, 1):
        assert len(speakers["train", category] | speakers["test", category]) == 4
        assert not speakers["train", category] & speakers["test", category]
    bank.check(["train", "test"])
    assert strongest_hz(bank.sound("train", 0, 3, RATE, RATE)) < 1100  # mic2 files would sound above 2 kHz


def test_without_classes_vctk_needs_no_speaker_list_and_has_one_class(tmp_path):
    bank = vctk_bank(vctk(tmp_path, "wav48", None), classes="none")
    assert bank.categories("train") == (0,)
    assert {name.split("/")[1] for name in bank.files("train") + bank.files("test")} >= {"p225", "p226"}


def test_speakers_that_nobody_lists_are_left_out_and_noted(tmp_path):
    bank = vctk_bank(vctk(tmp_path, "wav48", SPEAKERS_092.replace("p228", "p999")))
    assert "p228" in bank.notes[0]
    assert not any("p228" in name for name in bank.files("train") + bank.files("test"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("ID AGE GENDER\np225  23  F\np226  M\n", r"speaker-info.txt:3: 'p226  M'"),
        ("p225  23  X  English\n", r"speaker-info.txt:1: 'p225  23  X"),
        ("<html>not found</html>", "speaker-info.txt:1"),
        ("ID  AGE  GENDER\n", "no speaker at all"),
        ("", "no speaker at all"),
    ],
)
def test_a_speaker_list_that_makes_no_sense_is_quoted(tmp_path, content, found):
    (tmp_path / "speaker-info.txt").write_text(content)
    with pytest.raises(DatasetError, match=found):
        read_speaker_sexes(tmp_path / "speaker-info.txt")


def test_a_missing_speaker_list_tells_the_way_out(tmp_path):
    with pytest.raises(DatasetError, match=r"speaker-info\.txt.*classes to none"):
        vctk_bank(vctk(tmp_path, "wav48", None))


def test_a_speaker_list_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "speaker-info.txt").write_bytes(b"\xef\xbb\xbf" + SPEAKERS_092.encode())
    assert read_speaker_sexes(tmp_path / "speaker-info.txt")["s5"] == 0


# Whole data sets


def rooms(tmp_path, bank, **keys):
    config = SimulatedRoomsConfig(
        folder=tmp_path / "data",
        source_bank=bank,
        splits={"train": {"recordings": 2, "rooms": 1}, "test": {"recordings": 1, "rooms": 1}},
        duration_s=2,
        rooms={"image_source_order": 1},
        **keys,
    )
    return SimulatedRooms(config)


def test_a_data_set_from_a_folder_has_its_classes_and_names_its_files(tmp_path, sounds):
    data = rooms(tmp_path, {"use": "folder", "folder": sounds}, events={"overlap_shares": {2: 1.0}})
    data.prepare()
    manifest = json.loads((data.root / "manifest.json").read_bytes())
    assert str(tmp_path) not in json.dumps(manifest)
    for recording in data.recordings("train"):
        labels = read_annotations(recording.labels_path)
        assert {a.category_id for a in labels} == {6, 11}
    bank = folder_bank(sounds)
    for record in manifest["recordings"]:
        for event in record["scene"]["events"]:
            assert event["sound"] in bank.files(record["split"])


@pytest.mark.slow
def test_two_workers_render_the_same_from_files_at_other_rates(tmp_path):
    for n in range(20):
        tone(tmp_path / f"sounds/bell/{n}.wav", 500 + 100 * n, rate=(48_000, 44_100)[n % 2])
    bank = {"use": "folder", "folder": tmp_path / "sounds"}
    one, two = rooms(tmp_path / "one", bank), rooms(tmp_path / "two", bank)
    one.prepare(workers=1)
    two.prepare(workers=2)
    assert one.manifest_sha256 == two.manifest_sha256


def test_the_folder_of_data_follows_the_sounds_not_their_place(tmp_path, sounds):
    before = rooms(tmp_path, {"use": "folder", "folder": sounds}).root
    moved = sounds.rename(tmp_path / "elsewhere")
    assert rooms(tmp_path, {"use": "folder", "folder": moved}).root == before
    tone(moved / "11/new.wav", 900)
    assert rooms(tmp_path, {"use": "folder", "folder": moved}).root != before


def test_bad_files_stop_rendering_before_it_begins(tmp_path, sounds):
    (sounds / "11/broken.wav").write_bytes(b"nonsense")
    data = rooms(tmp_path, {"use": "folder", "folder": sounds})
    with pytest.raises(DatasetError, match=r"11/broken\.wav"):
        data.prepare()
    assert not data.root.exists()


def test_six_speakers_at_once_are_possible_without_classes(tmp_path):
    folder = vctk(tmp_path / "vctk", "wav48_silence_trimmed", SPEAKERS_092.replace("p228", "p999"))
    shares = {"train": 0.5, "test": 0.5}
    bank = {"use": "vctk", "folder": folder, "classes": "none", "split_shares": shares}
    data = rooms(tmp_path, bank, events={"overlap_shares": {6: 1.0}, "duration_range_s": (2, 2)})
    annotations = data.rendered("train", 0, 2.0).annotations
    assert {a.category_id for a in annotations} == {0}
    assert np.bincount([a.metadata_frame_index for a in annotations]).max() == 6


def test_speakers_left_out_are_told_before_rendering(tmp_path):
    folder = vctk(tmp_path / "vctk", "wav48", SPEAKERS_092.replace("p228", "p999"))
    shares = {"train": 0.5, "test": 0.5}
    told = []

    class Listener(Reporter):
        def line(self, text):
            told.append(text)

    rooms(tmp_path, {"use": "vctk", "folder": folder, "split_shares": shares}).prepare(reporter=Listener())
    assert "p228" in told[0]
