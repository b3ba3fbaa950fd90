"""Front end `stft_log_magnitude_phase`: log magnitude, sine and cosine of the phase of every microphone."""

from __future__ import annotations

import torch

from sai_bench.interfaces import FrontEnd
from sai_bench_builtin.configs.front_end import StftLogMagnitudePhaseConfig
from sai_bench_builtin.front_ends.centred_stft import centred_stft, directions_of, on_grid


class StftLogMagnitudePhase(FrontEnd):
    """The report's features (section 2.2.2): 12 x 202 x 1024 for 2 s of 4 microphones.

    With X the centred Hann STFT: log(max(|X|, magnitude_floor)), Im X / |X| and Re X / |X|; a silent bin,
    X = 0, has sine 0 and cosine 1.

    A recording of 24 kHz has nothing above 12 kHz, half of the 48 kHz grid. The 24 kHz form (24000 Hz, n_fft
    1024, hop 240, pad_bins_to 1024) has the same windows in seconds, the same bin frequencies and frame
    centres, and fills the empty half as silence. Because a window of the same length holds half the samples,
    its X is doubled. For even samples of a 48 kHz waveform the two are related exactly by

        X_24[f] = X_48[f] + conj X_48[1024 - f]      (f = 1 ... 511),

    and the second term vanishes for a waveform without content above 12 kHz, but for the window's leakage
    around that frequency. What a resampler leaves above 12 kHz in the 48 kHz form, and the phases of rounding
    noise there, the 24 kHz form does not show.
    """

    def __init__(self, config: StftLogMagnitudePhaseConfig):
        self.config = config

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return the features.

        Args:
            waveform: [B, M, S] at `sample_rate_hz`, full scale 1.

        Returns:
            [B, 3 M, T, bins] in the waveform's dtype: M log magnitudes, M sines, M cosines. T is
            S // hop_samples + 1, rounded up to a multiple of `frame_multiple`.

        Raises:
            AudioError: another number of microphones, or too few samples to reflect.
        """
        config = self.config
        spectrum = centred_stft(waveform, config, config.microphones)
        magnitude = spectrum.abs()
        sine, cosine, silent = directions_of(spectrum, magnitude, config.phase_floor)
        return on_grid(magnitude, sine, cosine.masked_fill(silent, 1), config, waveform.dtype)
