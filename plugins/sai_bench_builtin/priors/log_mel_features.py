"""Pooled log-mel statistics: what a recording sounds like around each label frame, as one row of numbers."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from sai_bench.sphere import FRAMES_PER_S, frame_count
from sai_bench_builtin.configs.prior import LogMelLinearConfig
from sai_bench_builtin.priors.log_mel import STFT_FRAMES_PER_LABEL_FRAME, LogMel

CONTRAST_BANDS = 7
MODULATION_BANDS = 8
MODULATION_EDGES_HZ = (2.0, 5.0, 10.0, 25.0)


class LogMelStatistics:
    """Turns a waveform into one feature row a label frame.

    Over the long window around the frame: mean, standard deviation and maximum of each log-mel band, the mean
    absolute change from one 20-ms step to the next, and the mean squared contrast of a band with the seven
    around it (tones stand out, noise does not, whatever the room's colour); the log modulation power of eight
    wide bands at 2-5, 5-10 and 10-25 Hz. Over the short window: mean of each band. Windows end at the
    recording's ends.
    """

    def __init__(self, config: LogMelLinearConfig):
        self.config = config
        self.log_mel = LogMel(config)

    @property
    def size(self) -> int:
        """Return the number of features D."""
        return 6 * self.config.mel_bands + MODULATION_BANDS * (len(MODULATION_EDGES_HZ) - 1)

    def __call__(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the features of a recording.

        Args:
            waveform: [M, S] float32, full scale 1.
            sample_rate_hz: its rate.

        Returns:
            [N, D] float32, N = frame_count(S, sample_rate_hz).
        """
        frames = frame_count(waveform.shape[-1], sample_rate_hz)
        if not frames:
            return np.empty((0, self.size), dtype=np.float32)
        log_mel = self.log_mel.levelled(waveform, sample_rate_hz)
        long, short = (_half_width(seconds) for seconds in (self.config.window_s, self.config.short_window_s))
        steps = log_mel.reshape(frames, STFT_FRAMES_PER_LABEL_FRAME, -1)
        change = np.abs(np.diff(log_mel, axis=0, prepend=log_mel[:1])).reshape(steps.shape)
        contrast = (log_mel - uniform_filter1d(log_mel, CONTRAST_BANDS, axis=1, mode="nearest")) ** 2
        level = steps.mean(axis=1)
        mean = _window_mean(level, long)
        variance = _window_mean((steps**2).mean(axis=1), long) - mean**2
        features = [
            mean,
            np.sqrt(np.maximum(variance, 0)),
            maximum_filter1d(steps.max(axis=1), 2 * long + 1, axis=0, mode="nearest"),
            _window_mean(change.mean(axis=1), long),
            _window_mean(contrast.reshape(steps.shape).mean(axis=1), long),
            _modulation(log_mel, frames, long),
            _window_mean(level, short),
        ]
        return np.concatenate(features, axis=1).astype(np.float32)


def _half_width(seconds: float) -> int:
    """Return how many label frames a window reaches to either side of its own."""
    return int(np.ceil((seconds * FRAMES_PER_S - 1) / 2 - 1e-9))


def _window_mean(rows: np.ndarray, half_width: int) -> np.ndarray:
    """Return the mean of rows i - half_width ... i + half_width that exist, for each i."""
    count = len(rows)
    total = np.concatenate([np.zeros_like(rows[:1]), np.cumsum(rows, axis=0)])
    index = np.arange(count)
    first, last = np.maximum(index - half_width, 0), np.minimum(index + half_width + 1, count)
    return (total[last] - total[first]) / (last - first)[:, None]


def _modulation(log_mel: np.ndarray, frames: int, half_width: int) -> np.ndarray:
    """Return the log modulation power [N, 8 * 3] of wide bands in three ranges of modulation frequency.

    The wide bands' envelopes (mean log power) are split by zero-phase differences of moving averages, whose
    lengths are the reciprocals of the edges; the power of each difference is averaged over the window.
    """
    envelopes = np.stack([band.mean(axis=1) for band in np.array_split(log_mel, MODULATION_BANDS, axis=1)], 1)
    step_rate_hz = FRAMES_PER_S * STFT_FRAMES_PER_LABEL_FRAME
    smooth = [_window_mean(envelopes, round(step_rate_hz / edge / 2)) for edge in MODULATION_EDGES_HZ[:-1]]
    smooth.append(envelopes)
    power = [(fine - coarse) ** 2 for coarse, fine in itertools.pairwise(smooth)]
    pooled = [p.reshape(frames, STFT_FRAMES_PER_LABEL_FRAME, -1).mean(axis=1) for p in power]
    return np.log(_window_mean(np.concatenate(pooled, axis=1), half_width) + 1e-4)
