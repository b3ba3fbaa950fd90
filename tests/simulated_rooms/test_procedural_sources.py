"""Each synthesiser against what is known about the sound it imitates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from sai_bench.sphere import CLASS_NAMES
from sai_bench_builtin.datasets.procedural_sources import SYNTHESISERS, synthesise

RATE = 24_000
(
    FEMALE,
    MALE,
    CLAPPING,
    TELEPHONE,
    LAUGHTER,
    DOMESTIC,
    FOOTSTEPS,
    DOOR,
    MUSIC,
    STRING,
    WATER,
    BELL,
    KNOCK,
) = range(13)


def sounds(category: int, count: int = 6, duration_s: float = 3.0) -> list[np.ndarray]:
    return [synthesise(category, 100 + v, int(duration_s * RATE), RATE) for v in range(count)]


def pitch_hz(sound: np.ndarray) -> float:
    """Median over strongly periodic 40-ms windows of the autocorrelation's peak between 60 and 450 Hz."""
    window, found = int(0.04 * RATE), []
    lags = np.arange(int(RATE / 450), int(RATE / 60))
    for start in range(0, len(sound) - 2 * window, window):
        a = sound[start : start + window]
        if np.sqrt(np.mean(a**2)) < 0.1 * np.abs(sound).max():
            continue
        similarity = np.array(
            [
                np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b))
                for b in (sound[start + k : start + k + window] for k in lags)
            ]
        )
        # The first near-best lag: multiples of the period correlate as well.
        if similarity.max() > 0.8:
            found.append(RATE / lags[np.flatnonzero(similarity > 0.95 * similarity.max())[0]])
    return float(np.median(found))


def flatness(sound: np.ndarray, low_hz: float = 500, high_hz: float = 6000) -> float:
    """Geometric over arithmetic mean of the spectrum: 1 for white noise, near 0 for tones."""
    frequencies, power = signal.welch(sound, RATE, nperseg=2048)
    band = power[(frequencies > low_hz) & (frequencies < high_hz)]
    return float(np.exp(np.mean(np.log(band))) / np.mean(band))


def centroid_hz(sound: np.ndarray) -> float:
    frequencies, power = signal.welch(sound, RATE, nperseg=2048)
    return float(np.sum(frequencies * power) / np.sum(power))


def levels_db(sound: np.ndarray, window_s: float) -> np.ndarray:
    window = int(window_s * RATE)
    blocks = sound[: len(sound) // window * window].reshape(-1, window)
    return 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-9)


def envelope_rate_hz(sound: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Strongest modulation frequency of the level envelope (100 values a second) in a range."""
    envelope = np.sqrt(np.mean(sound[: len(sound) // 240 * 240].reshape(-1, 240) ** 2, axis=1))
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean(), 4096))
    rates = np.fft.rfftfreq(4096, 0.01)
    inside = (rates >= low_hz) & (rates <= high_hz)
    return float(rates[inside][np.argmax(spectrum[inside])])


def test_there_is_one_synthesiser_for_each_class():
    assert len(SYNTHESISERS) == len(CLASS_NAMES)


@pytest.mark.parametrize("category", range(13), ids=CLASS_NAMES)
@pytest.mark.parametrize("samples", [4800, 24_001, 90_000])
def test_a_sound_has_its_length_and_peak_is_repeatable_and_varies(category, samples):
    sound = synthesise(category, 7, samples, RATE)
    assert sound.shape == (samples,)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() == pytest.approx(1)
    assert np.array_equal(sound, synthesise(category, 7, samples, RATE))
    assert not np.array_equal(sound, synthesise(category, 8, samples, RATE))


@pytest.mark.parametrize("category", range(13), ids=CLASS_NAMES)
def test_a_sound_is_broadband_enough_to_be_localised(category):
    for sound in sounds(category, count=4):
        _, power = signal.welch(sound, RATE, nperseg=512)
        # Third-octave-wide bands between 500 and 5000 Hz within 50 dB of the strongest.
        bands = np.array(
            [
                np.mean(power[round(f / 46.9) : round(1.26 * f / 46.9) + 1])
                for f in 500 * 1.26 ** np.arange(10)
            ]
        )
        assert np.mean(10 * np.log10(bands / bands.max()) > -50) >= 0.8


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_every_class_can_be_made_at_other_rates(rate):
    for category in range(13):
        assert np.isfinite(synthesise(category, 1, rate, rate)).all()


def test_female_voices_have_the_higher_pitch_and_both_stay_in_their_ranges():
    female = [pitch_hz(sound) for sound in sounds(FEMALE)]
    male = [pitch_hz(sound) for sound in sounds(MALE)]
    assert 160 < min(female) < max(female) < 275
    assert 75 < min(male) < max(male) < 160


def test_speech_has_most_power_below_1_khz_and_some_in_fricatives_above_3_khz():
    for category in (FEMALE, MALE):
        for sound in sounds(category, count=3, duration_s=5):
            frequencies, power = signal.welch(sound, RATE, nperseg=1024)
            assert power[frequencies < 1000].sum() > 0.5 * power.sum()
            assert power[frequencies > 3000].sum() > 1e-4 * power.sum()


def test_laughter_bursts_come_four_to_six_times_a_second():
    for sound in sounds(LAUGHTER, duration_s=4):
        assert 3.6 < envelope_rate_hz(sound, 3, 8) < 6.6


def test_footsteps_come_at_walking_pace():
    for sound in sounds(FOOTSTEPS, duration_s=6):
        assert 1.3 < envelope_rate_hz(sound, 0.8, 2.9) < 2.75


def test_telephone_is_tonal_and_water_is_steady_noise():
    for ring, water in zip(sounds(TELEPHONE), sounds(WATER), strict=True):
        assert flatness(ring) < 0.1
        assert flatness(water) > 0.3
        assert np.std(levels_db(water, 0.1)[1:-1]) < 2


def test_telephone_alternates_between_two_tones_a_third_or_so_apart():
    for ring in sounds(TELEPHONE, count=4):
        # 20-ms windows of the first half second, most of which hold one tone only.
        frequencies, _, spectrum = signal.stft(ring[: RATE // 2], RATE, nperseg=480, nfft=8192)
        band = (frequencies > 800) & (frequencies < 2600)
        peaks = frequencies[band][np.argmax(np.abs(spectrum[band]), axis=0)][2:-2]
        low, high = np.percentile(peaks, [10, 90])
        assert 1.1 < high / low < 1.5


def test_bell_partials_are_inharmonic():
    for sound in sounds(BELL):
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**18))
        frequencies = np.fft.rfftfreq(2**18, 1 / RATE)
        spectrum[(frequencies < 150) | (frequencies > 4000)] = 0
        peaks, _ = signal.find_peaks(spectrum, height=0.05 * spectrum.max(), distance=int(30 * 2**18 / RATE))
        ratios = frequencies[peaks] / frequencies[peaks[0]]
        # The tierce, a minor third above the prime, is 2.4 times the hum: no harmonic of it.
        assert np.any((ratios > 2.2) & (ratios < 2.6))


def test_bell_rings_longer_than_a_knock():
    def decay_ms(sound):
        envelope = levels_db(sound, 0.01)
        start = int(np.argmax(envelope[:60]))
        below = np.flatnonzero(envelope[start:] < envelope[start] - 15)
        return 10 * (below[0] if len(below) else len(envelope))

    assert np.median([decay_ms(s) for s in sounds(BELL)]) > 2 * np.median(
        [decay_ms(s) for s in sounds(KNOCK)]
    )


def test_a_plucked_note_is_periodic():
    for sound in sounds(STRING):
        # The second note comes after 0.2 s at the earliest.
        window, start = int(0.05 * RATE), int(0.05 * RATE)
        note = sound[start : start + window]
        later = [sound[start + lag : start + lag + window] for lag in range(RATE // 1200, RATE // 140)]
        similar = [np.dot(note, b) / np.sqrt(np.dot(note, note) * np.dot(b, b)) for b in later]
        assert max(similar) > 0.95


def test_impacts_are_peaky_and_appliance_and_music_are_not():
    def peakiness(sound):
        return 1 / np.sqrt(np.mean(sound**2))

    impacts = [peakiness(s) for c in (FOOTSTEPS, KNOCK) for s in sounds(c)]
    assert min(impacts) > max(peakiness(s) for s in sounds(MUSIC))


def test_claps_are_brighter_than_knocks_and_knocks_than_slams_thump():
    claps, knocks = (np.median([centroid_hz(s) for s in sounds(c)]) for c in (CLAPPING, KNOCK))
    assert claps > 1.5 * knocks
    assert all(np.argmax(signal.welch(s, RATE, nperseg=2048)[1]) * RATE / 2048 < 1200 for s in sounds(DOOR))


def test_a_linear_classifier_on_band_levels_tells_the_classes_apart():
    def features(sound):
        _, _, power = signal.spectrogram(sound, RATE, nperseg=1024, noverlap=512)
        edges = np.unique(np.geomspace(2, 500, 25).astype(int))
        bands = np.log(np.add.reduceat(power, edges, axis=0)[:-1] + 1e-9)
        return np.concatenate([bands.mean(1) - bands.mean(), bands.std(1), np.diff(bands, axis=1).std(1)])

    def examples(variations):
        pairs = [(features(synthesise(c, v, 2 * RATE, RATE)), c) for c in range(13) for v in variations]
        return np.array([f for f, _ in pairs]), np.array([c for _, c in pairs])

    (train, train_classes), (test, test_classes) = examples(range(16)), examples(range(1000, 1006))
    mean, spread = train.mean(0), train.std(0) + 1e-6
    train, test = ((x - mean) / spread for x in (train, test))
    weights = np.linalg.solve(
        train.T @ train + 10 * np.eye(train.shape[1]), train.T @ np.eye(13)[train_classes]
    )
    assert np.mean(np.argmax(test @ weights, axis=1) == test_classes) > 0.7


@pytest.mark.parametrize("category", range(13))
def test_hardly_any_energy_lies_where_nobody_hears(category):
    for variation in range(6):
        sound = synthesise(category, variation, 3 * RATE, RATE)
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequencies_hz = np.fft.rfftfreq(len(sound), 1 / RATE)
        assert power[frequencies_hz < 20].sum() < 0.01 * power.sum()
