import os
import threading

import numpy as np
import pytest

from sai_bench.errors import CacheError, OutputError
from sai_bench.files import encode_arrays, read_arrays, safe_name, write_atomically


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "record.json"
    contents = [bytes([n]) * 200_000 for n in (1, 2)]
    write_atomically(path, contents[0])
    stop = threading.Event()

    def rewrite():
        while not stop.is_set():
            for content in contents:
                write_atomically(path, content)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        assert all(path.read_bytes() in contents for _ in range(200))
    finally:
        stop.set()
        writer.join()
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomically(path, b"old")

    def full_disk(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/deeper/a\.json: cannot be written"):
        write_atomically(tmp_path / "file" / "deeper" / "a.json", b"")


def test_equal_arrays_give_equal_bytes_and_come_back(tmp_path):
    arrays = {"b": np.arange(5, dtype=np.uint16), "a": np.eye(3)}
    assert encode_arrays(arrays) == encode_arrays({k: v.copy() for k, v in arrays.items()})
    path = tmp_path / "a.npz"
    write_atomically(path, encode_arrays(arrays))
    for name, value in read_arrays(path).items():
        np.testing.assert_array_equal(value, arrays[name])
        assert value.dtype == arrays[name].dtype


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no archive"])
def test_a_damaged_store_is_named(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(CacheError, match=r"a\.npz.*delete it"):
        read_arrays(path)


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CacheError):
        read_arrays(path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "", "a/b", "a\\b", ".hidden", "x" * 400, "ä\0"])
def test_no_name_leaves_its_folder(tmp_path, name):
    path = tmp_path / safe_name(name)
    assert path.resolve().parent == tmp_path.resolve()
    assert not path.name.startswith(".")
    path.write_text("can be written")


def test_names_that_had_to_change_stay_apart():
    assert safe_name("fold4_room23_mix001") == "fold4_room23_mix001"
    assert safe_name("a/b") != safe_name("a?b")
