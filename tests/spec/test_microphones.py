"""How many microphones a front end needs against what the system hears, before anything is built."""

from pathlib import Path

import pytest

from sai_bench.errors import SpecError
from sai_bench.spec import load_spec

TINY = Path(__file__).parents[2] / "specs" / "tiny.yaml"


@pytest.mark.parametrize("front_end", ["stft_log_magnitude_phase", "stft_phase_difference"])
def test_a_front_end_for_more_microphones_than_are_heard_is_refused(front_end):
    with pytest.raises(SpecError, match=f"system.front_end: '{front_end}' hears 6 microphones") as refused:
        load_spec(TINY, overrides=[f"system.front_end={{use: {front_end}, microphones: 6}}"])
    assert "Set system.front_end.microphones to 4, or system.microphones to all" in str(refused.value)


@pytest.mark.parametrize("microphones", [4, 6, 32])
def test_any_number_may_be_heard_where_all_channels_are(microphones):
    overrides = ["system.microphones=all", f"system.front_end.microphones={microphones}"]
    spec = load_spec(TINY, overrides=overrides)
    assert spec.system.front_end.config.output().microphones == microphones


def test_a_front_end_that_takes_any_number_fits_everywhere():
    spec = load_spec(TINY.with_name("quickstart.yaml"), overrides=["system.microphones=all"])
    assert spec.system.front_end.config.output().microphones is None
