"""Only plain UTF-8 is read: JSON decoders disagree about everything else, and the evaluators crash on it."""

import codecs
import json

import pytest

from sai_bench.errors import AnnotationError
from sai_bench.json_document import parse_document
from sai_bench.metrics.june.reading import read_june_annotations
from sai_bench.metrics.submission import check_submission
from sai_bench.predictions import read_annotations

ENTRY = {"metadata_frame_index": 0, "category_id": 1, "score": 0.5, "segmentation": [[[1, 2, 3]]]}
TEXT = json.dumps({"annotations": [ENTRY]})
NOTED = json.dumps({"note": "Gehör", "annotations": [ENTRY]}, ensure_ascii=False)

READERS = [read_annotations, lambda path: read_june_annotations(path, "prediction")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recording.json"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (codecs.BOM_UTF8 + TEXT.encode(), "byte order mark (bytes 0 to 2)"),
        (TEXT.encode("utf-16"), "UTF-16 or UTF-32 from byte 0"),
        (TEXT.encode("utf-16-le"), "UTF-16 or UTF-32 from byte 0"),
        (TEXT.encode("utf-16-be"), "UTF-16 or UTF-32 from byte 0"),
        (TEXT.encode("utf-32"), "UTF-16 or UTF-32 from byte 0"),
        (TEXT.encode("utf-32-be"), "UTF-16 or UTF-32 from byte 0"),
        (NOTED.encode("latin-1"), f"not UTF-8 at byte {NOTED.index('ö')}"),
        (TEXT.encode().replace(b"score", b"sc\xffre"), f"not UTF-8 at byte {TEXT.index('score') + 2}"),
        (NOTED.encode().replace("ö".encode(), b"\xed\xa0\x80"), f"not UTF-8 at byte {NOTED.index('ö')}"),
    ],
)
def test_other_encodings_are_refused_with_the_byte_by_every_reader(path, content, fault):
    path.write_bytes(content)
    for read in READERS:
        with pytest.raises(AnnotationError) as failure:
            read(path)
        assert f"{path}: " in str(failure.value)
        assert fault in str(failure.value)
        assert "Expected DCASE JSON in UTF-8" in str(failure.value)
    (finding,) = check_submission(path.parent, workers=1).of_level("error")
    assert (finding.file, finding.rule) == ("recording.json", "schema")
    assert fault in finding.message


@pytest.mark.parametrize("content", [TEXT, NOTED])
def test_utf8_is_read(path, content):
    path.write_bytes(content.encode())
    for read in READERS:
        assert len(read(path)) == 1


def test_a_document_is_decoded_as_utf8_and_as_nothing_else(path):
    for encoding in ("utf-16", "utf-32", "utf-16-le"):
        with pytest.raises(AnnotationError, match="not valid JSON"):
            parse_document(path, TEXT.encode(encoding))
