import os
import threading

import numpy as np
import pytest

from sai_bench.errors import CacheError, OutputError
from sai_bench.files import check_writable, encode_arrays, read_arrays, safe_name, write_atomically


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


def test_a_link_stays_and_the_file_it_leads_to_is_written(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real.json", tmp_path / "link.json"
    link.symlink_to(target)
    for content in (b"made", b"changed"):
        write_atomically(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert os.listdir(tmp_path / "elsewhere") == ["real.json"]


@pytest.mark.parametrize("write", [lambda path: write_atomically(path, b"new"), check_writable])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "it is no regular file"),
        (os.mkdir, "it is a folder"),
        (lambda path: os.symlink(path, path), "symbolic links"),
    ],
)
def test_what_is_no_regular_file_is_not_replaced(tmp_path, make, says, write):
    path, link = tmp_path / "there", tmp_path / "link"
    make(path)
    link.symlink_to(path)
    before = os.lstat(path)
    for name in (path, link):
        with pytest.raises(OutputError, match=f"{name.name}: cannot be written.*{says}"):
            write(name)
    assert os.lstat(path).st_ino == before.st_ino
    assert sorted(os.listdir(tmp_path)) == ["link", "there"]


def test_a_place_is_tried_without_leaving_anything(tmp_path):
    (tmp_path / "old.json").write_text("old")
    check_writable(tmp_path / "old.json")
    check_writable(tmp_path / "new" / "deeper" / "a.json")
    assert os.listdir(tmp_path) == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"
    with pytest.raises(OutputError, match=r"old\.json/a\.json: cannot be written"):
        check_writable(tmp_path / "old.json" / "a.json")


def test_equal_arrays_give_equal_bytes_and_come_back(tmp_path):
    arrays = {"b": np.arange(5, dtype=np.uint16), "a": np.eye(3)}
    assert encode_arrays(arrays) == encode_arrays({k: v.copy() for k, v in arrays.items()})
    path = tmp_path / "a.npz"
    write_atomically(path, encode_arrays(arrays))
    for name, value in read_arrays(path).items():
        np.testing.assert_array_equal(value, arrays[name])
        assert value.dtype == arrays[name].dtype


def test_a_store_with_any_byte_changed_is_read_or_named(tmp_path):
    """Damage shows up as whatever zipfile, zlib and NumPy raise; nothing but CacheError may come out."""
    whole = encode_arrays({"a": np.arange(40.0), "b": np.array(["x", "yz"])})
    path, damaged = tmp_path / "a.npz", 0
    for position in range(len(whole)):
        for value in (whole[position] ^ 0xFF, whole[position] ^ 0x08):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                read_arrays(path)
            except CacheError:
                damaged += 1
    assert damaged > len(whole)


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
