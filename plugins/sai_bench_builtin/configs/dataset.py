"""Config models of the built-in data sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sai_bench.config import ComponentConfig, DatasetConfig, SpecPath
from sai_bench_builtin.configs.source_bank import (
    ProceduralSources,
    Share,
    SourceBankConfig,
    SplitName,
    sum_to_one,
)


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lower bound {bounds[0]} is above the upper bound {bounds[1]}")
    return bounds


SourceCount = Annotated[int, Field(ge=0, le=6)]
_SideM = Annotated[float, Field(ge=1.5, le=50)]
_Absorption = Annotated[float, Field(ge=0, le=1)]
_EventS = Annotated[float, Field(ge=0.2, le=60)]
_SpeedMPerS = Annotated[float, Field(ge=0, le=10)]
_SnrDb = Annotated[float, Field(ge=-20, le=120)]
_RadiusDeg = Annotated[float, Field(ge=0, le=45)]


class SplitConfig(ComponentConfig):
    """How much to render for one split."""

    recordings: int = Field(ge=1, le=99_999)
    """How many recordings."""
    rooms: int = Field(ge=1, le=9_999)
    """How many rooms they share; no room belongs to two splits."""


class RoomsConfig(ComponentConfig):
    """Shoebox rooms."""

    side_range_m: Annotated[tuple[_SideM, _SideM], AfterValidator(_ascending)] = (2.0, 10.0)
    """Horizontal sides in metres, drawn log-uniformly."""
    height_range_m: Annotated[tuple[_SideM, _SideM], AfterValidator(_ascending)] = (2.0, 4.0)
    """Height in metres, drawn uniformly."""
    absorption_range: Annotated[tuple[_Absorption, _Absorption], AfterValidator(_ascending)] = (0.0, 0.5)
    """Energy absorption of all walls (0 reflects everything), drawn uniformly."""
    image_source_order: int = Field(default=5, ge=0, le=20)
    """Highest number of reflections; 0 is an anechoic room."""
    image_displacement_m: float = Field(default=0.08, ge=0, le=0.2)
    """Largest random shift in metres of each reflection along each axis, which breaks the sweeping echoes of
    perfectly symmetric rooms; 0 switches it off. The direct path is never shifted."""


_OVERLAP_SHARES: dict[SourceCount, Share] = {0: 0.10, 1: 0.40, 2: 0.25, 3: 0.15, 4: 0.06, 5: 0.03, 6: 0.01}
_RADIUS_SHARES: dict[_RadiusDeg, Share] = {3: 0.30, 8: 0.45, 13: 0.25}


class EventsConfig(ComponentConfig):
    """When sound events happen and how they move."""

    overlap_shares: Annotated[dict[SourceCount, Share], AfterValidator(sum_to_one)] = _OVERLAP_SHARES
    """Share of the time with 0 ... 6 simultaneous sources; the shares sum to 1."""
    duration_range_s: Annotated[tuple[_EventS, _EventS], AfterValidator(_ascending)] = (1.0, 6.0)
    """Event durations in seconds; the end of a recording may cut its last events shorter."""
    moving_probability: float = Field(default=0.3, ge=0, le=1)
    """How probable it is that an event's source moves."""
    speed_range_m_per_s: Annotated[tuple[_SpeedMPerS, _SpeedMPerS], AfterValidator(_ascending)] = (0.3, 1.5)
    """Speed of moving sources in metres per second, drawn uniformly."""
    response_interval_s: float = Field(default=0.2, ge=0.02, le=2)
    """A moving source gets a new room response every so many seconds; between them the sound cross-fades."""
    active_floor_db: float = Field(default=-35, ge=-80, lt=0)
    """A frame is labelled where the dry sound's level in it is above this, in dB relative to the event's
    loudest frame."""
    dry_rms: float = Field(default=0.08, gt=0, le=1)
    """Root mean square of each dry sound over its active frames, at 1 m (full scale 1)."""


class ExtentConfig(ComponentConfig):
    """Extended sources: sub-sources inside a disc on the sphere that share one dry sound."""

    radius_shares: Annotated[dict[_RadiusDeg, Share], AfterValidator(sum_to_one)] = _RADIUS_SHARES
    """Angular radius of a source in degrees and how probable it is; radius 0 is a point."""
    spacing_deg: float = Field(default=4, gt=0, le=45)
    """Distance of neighbouring sub-sources in degrees (never more than the radius)."""
    max_subsources: int = Field(default=100, ge=1, le=1000)
    """Where the spacing would need more sub-sources than this, it is widened."""
    gain_spread_db: float = Field(default=2, ge=0, le=20)
    """Each sub-source's gain exp(-r^2/2), r = angle from the centre / radius, varies by up to this (+-)."""
    delay_spread_ms: float = Field(default=0.2, ge=0, le=1)
    """Each sub-source is delayed or advanced by up to this (+-)."""


class SimulatedRoomsConfig(DatasetConfig):
    """Recordings rendered in simulated shoebox rooms (report 3.1.1)."""

    folder: SpecPath
    """Where data lie. Each different config gets a folder `simulated_rooms-<hash>` of its own in here."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Everything random follows from it."""
    splits: dict[SplitName, SplitConfig] = Field(
        default={
            "train": SplitConfig(recordings=64, rooms=16),
            "test": SplitConfig(recordings=10, rooms=5),
        },
        min_length=1,
    )
    """The splits and how much to render for each."""
    duration_s: float = Field(default=20, ge=0.5, le=600)
    """Length of every recording in seconds."""
    sample_rate_hz: int = Field(default=24_000, ge=8_000, le=48_000)
    """Sample rate in Hz; STARSS23 and STAIRS26 have 24000."""
    channels: Literal[4, 32] = 4
    """4: MIC, written to `mic_dev`; 32: em32, written to `eigen_dev`."""
    array_response: Literal["free_field", "rigid_sphere"] = "free_field"
    """What the capsules sit on: nothing, or the rigid sphere of an em32 (radius 4.2 cm), which shades high
    frequencies as the real array does."""
    source_bank: SourceBankConfig = ProceduralSources()
    """Where dry sounds come from."""
    rooms: RoomsConfig = RoomsConfig()
    """The rooms."""
    events: EventsConfig = EventsConfig()
    """The sound events."""
    extent: ExtentConfig = ExtentConfig()
    """How large sources are."""
    snr_range_db: Annotated[tuple[_SnrDb, _SnrDb], AfterValidator(_ascending)] = (10.0, 30.0)
    """Level of the sources over the noise (white, independent in each channel) in dB."""

    def split_names(self) -> tuple[str, ...]:
        """Return the names of the splits in their order."""
        return tuple(self.splits)

    @model_validator(mode="after")
    def _every_split_has_sounds(self) -> SimulatedRoomsConfig:
        shares = getattr(self.source_bank, "split_shares", None)
        without = [name for name in self.splits if shares is not None and not shares.get(name)]
        if without:
            raise ValueError(
                f"source_bank.split_shares leaves no sounds for the split '{without[0]}'. Give every split "
                "a share of the sounds."
            )
        return self


class Stairs26Config(ComponentConfig):
    """STAIRS26: recordings of an em32 in real rooms, with label JSONs (Zenodo record 18171005)."""

    folder: SpecPath
    """Where the data were unpacked; audio and labels are found by recording name anywhere below it."""
    channels: Literal["auto", 4, 32] = "auto"
    """Which audio files are used: 4 (MIC), 32 (em32), or `auto`: the kind that fewer recordings lack, 32 if
    both are complete."""
    cache_folder: SpecPath | None = None
    """Where hashes of the files are kept, so that each is computed once; None: `.sai_bench_cache` in the
    current folder."""


class DirectionRegionsConfig(ComponentConfig):
    """What becomes of a label that is a mere direction: points of a disc on the sphere around it."""

    radius_deg: float = Field(default=8, ge=0, le=45)
    """Angular radius of the disc in degrees; 0 is a single point."""
    spacing_deg: float = Field(default=4, ge=0.5, le=45)
    """Distance of neighbouring points in degrees (never more than the radius). A point's energy is
    exp(-(d / radius)^2), d its distance from the centre."""


class Starss23Config(ComponentConfig):
    """STARSS23: recordings in real rooms with directions in CSV files (Zenodo record 7880637)."""

    folder: SpecPath
    """Where the data were unpacked; audio and metadata are found by recording name anywhere below it."""
    format: Literal["mic", "foa"] = "mic"
    """Which audio is used: `mic` (4 capsules) or `foa` (first-order ambisonics), only for systems that need
    no capsule positions."""
    regions: DirectionRegionsConfig = DirectionRegionsConfig()
    """How directions become regions."""
    labels_folder: SpecPath | None = None
    """Where the label JSONs made from the CSV files are kept, and hashes of all files, each computed once;
    None: `.sai_bench_cache` in the current folder."""
