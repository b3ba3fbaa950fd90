import json

import numpy as np
import pytest
import soundfile

RATE_HZ = 24_000


def noise(channels, duration_s=0.5, seed=0):
    return np.random.default_rng(seed).normal(0, 0.05, (round(duration_s * RATE_HZ), channels))


def annotation(frame, category=0, instance=0, points=((10, 20, 1.0),)):
    return {
        "metadata_frame_index": frame,
        "instance_id": instance,
        "category_id": category,
        "distance": 150,
        "segmentation": [[list(point) for point in points]],
    }


class Tree:
    """Writes the files of a made-up data set below a folder."""

    noise = staticmethod(noise)
    annotation = staticmethod(annotation)

    def __init__(self, root):
        self.root = root

    def audio(self, path, channels=4, samples=None, subtype="PCM_16", rate_hz=RATE_HZ, **kind):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        samples = noise(channels, **kind) if samples is None else samples
        with open(target, "wb") as stream:  # soundfile cannot open every name
            soundfile.write(stream, samples, rate_hz, subtype=subtype, format=target.suffix[1:].upper())
        return target

    def labels(self, path, annotations=()):
        return self.text(path, json.dumps({"annotations": list(annotations)}))

    def text(self, path, content):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        return target

    def zenodo(self, place, name, channels=32, annotations=(), seed=0):
        """A recording in the layout of the published archives."""
        folder = "eigen_dev" if channels == 32 else "mic_dev"
        audio = self.audio(f"{folder}/{place}/{name}.wav", channels, seed=seed)
        return audio, self.labels(f"labels_dev/{place}/{name}_std.json", annotations)


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "data").mkdir()
    return Tree(tmp_path / "data")
