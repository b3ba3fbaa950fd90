"""What flows between components, known before anything is built: the wiring check compares these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureSpec:
    """What a front end promises about its features [B, C, T, F].

    Attributes:
        representation: what the numbers are, such as `complex_spectrum` (C = M, complex64).
        sample_rate_hz: the rate that the front end wants its waveform at.
        n_fft: FFT length in samples; bin f lies at f * sample_rate_hz / n_fft Hz.
        hop_samples: distance of neighbouring STFT frames.
        first_centre_samples: STFT frame t is centred on sample first_centre_samples + t * hop_samples.
        bins: F.
        channels: C, None if it is the number of microphones M, whatever that is.
        microphones: M that the front end needs, None if it takes any number.
    """

    representation: str
    sample_rate_hz: int
    n_fft: int
    hop_samples: int
    bins: int
    first_centre_samples: int = 0
    channels: int | None = None
    microphones: int | None = None


@dataclass(frozen=True)
class SphereSpec:
    """What a backbone promises about its sphere features [B, N, D, height, width].

    Attributes:
        representation: what the numbers are: `steered_power` (D = 1, in [-1, 1]; 1 is a lone plane wave) or
            `embedding` (learned).
        class_maps: whether the last K channels, one for each class, are no features but maps in [-1, 1] of
            where that class would be: a decoder may begin with them.
    """

    representation: str
    channels: int
    height: int
    width: int
    class_maps: bool = False


@dataclass(frozen=True)
class CandidateSpec:
    """What a decoder promises: at most `masks` masks (R) and `candidates` candidates (Q) a frame."""

    masks: int
    candidates: int
    height: int
    width: int
