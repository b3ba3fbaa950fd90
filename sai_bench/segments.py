"""How a recording is cut into the segments that go through the detector, in label frames of 0.1 s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sai_bench.sphere import FRAMES_PER_S

if TYPE_CHECKING:
    import torch

    from sai_bench.spec import InferenceSettings


@dataclass(frozen=True)
class Segment:
    """Some label frames of a recording, and the wider stretch that is heard for their sake.

    Attributes:
        first: first label frame.
        last: the one after the last label frame.
        begin: first label frame that is heard; below 0: before the recording.
        end: the one after the last that is heard.
    """

    first: int
    last: int
    begin: int
    end: int

    @property
    def frames(self) -> int:
        """Return how many label frames are the segment's own."""
        return self.last - self.first

    @property
    def frames_heard(self) -> int:
        """Return how many label frames are heard."""
        return self.end - self.begin

    @property
    def own(self) -> slice:
        """Return where the segment's own label frames lie among those that are heard."""
        return slice(self.first - self.begin, self.last - self.begin)


def segments(frames: int, inference: InferenceSettings) -> list[Segment]:
    """Return the segments of a recording; only the last one may have fewer frames of its own.

    Args:
        frames: label frames of the recording.
        inference: how recordings go through.
    """
    whole = whole_segment(inference)
    step, context = whole.frames, -whole.begin
    cut = []
    for first in range(0, frames, step):
        last = min(first + step, frames)
        begin, end = first - context, first + step + context
        if not inference.pad_segments:
            begin, end = max(0, begin), min(frames, last + context)
        cut.append(Segment(first, last, begin, end))
    return cut


def whole_segment(inference: InferenceSettings) -> Segment:
    """Return a segment of a recording without ends; its own frames begin at 0."""
    frames = max(1, round(inference.segment_s * FRAMES_PER_S))
    context = round(inference.context_s * FRAMES_PER_S)
    return Segment(0, frames, -context, frames + context)


def frames_to_decode(
    sphere: torch.Tensor, own: slice, frames_are_independent: bool
) -> tuple[torch.Tensor, slice]:
    """Return the label frames that a decoder is given, and where the segment's own lie among them.

    A decoder that looks at frames one by one is spared the context, and the frame that begins where the
    segment ends: they are another segment's business.

    Args:
        sphere: [B, N, D, h, w] of all frames that are heard.
        own: where in N the segment's own lie.
        frames_are_independent: of the decoder.
    """
    if not frames_are_independent:
        return sphere, own
    return sphere[:, own], slice(0, own.stop - own.start)
