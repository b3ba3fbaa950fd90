import json
import subprocess
import sys

import numpy as np
import pytest

from sai_bench.cli.main import main

SPEC = """\
name: real
data: {{use: stairs26, folder: {folder}, cache_folder: {cache}}}
"""


@pytest.fixture
def spec(tree, tmp_path):
    path = tmp_path / "real.yaml"
    path.write_text(SPEC.format(folder=tree.root, cache=tmp_path / "cache"))
    return path


@pytest.fixture
def check_data(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sai-bench", "check-data", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def test_good_data_give_tables_and_exit_0(tree, spec, check_data, tmp_path):
    tree.zenodo("dev-train-sony", "fold3_room21_mix001", annotations=[tree.annotation(0, 8)])
    tree.zenodo("dev-test-tau", "fold4_room2_mix001")
    target = tmp_path / "out" / "report.json"
    code, out, err = check_data(spec, "--json", target)
    assert code == 0
    assert "error" not in err
    row = next(line for line in out.splitlines() if "8 Music" in line and "Musical" not in line)
    assert row.count("1 (1)") == 2  # train and train-sony
    assert row.count("0 (0)") == 2
    content = json.loads(target.read_text())
    assert content["good"] is True
    assert list(content["splits"]) == ["train", "train-sony", "test", "test-tau"]
    assert content["splits"]["train"]["time_with_sources"]["1"] == pytest.approx(0.2)


def test_everything_wrong_is_named_at_once_with_exit_1(tree, spec, check_data):
    for place, name in (("dev-train-sony", "fold3_good"), ("dev-test-tau", "fold4_silent")):
        tree.zenodo(place, name)
    tree.audio("eigen_dev/dev-test-tau/fold4_silent.wav", samples=np.zeros((24_000, 32)))
    audio, _ = tree.zenodo("dev-test-tau", "fold4_cut")
    audio.write_bytes(audio.read_bytes()[:-1000])
    tree.labels("labels_dev/dev-test-tau/fold4_lonely_std.json")
    code, out, err = check_data(spec, "--json", "-")
    assert code == 1
    content = json.loads(out)
    assert content["good"] is False
    assert len(content["errors"]) == 3
    for says in (
        "error: fold4_lonely: no audio with 32 channels",
        "fold4_cut.wav: 767000 bytes of samples",
        "error: fold4_silent: ",
        "https://zenodo.org/records/18171005",
    ):
        assert says in err, says
    assert content["splits"]["test"]["recordings"] == 1


def test_data_that_are_not_there_are_wrong_input(spec, check_data, tree):
    tree.root.rmdir()
    code, out, err = check_data(spec)
    assert (code, out) == (2, "")
    assert "no such folder. Expected the one in which the data set was unpacked" in err


def test_a_report_does_not_land_among_the_data(tree, spec, check_data):
    tree.zenodo("dev-test-tau", "fold4_a")
    code, _, err = check_data(spec, "--json", tree.root / "labels_dev" / "report.json")
    assert code == 2
    assert "lies in the folder of the data" in err


def test_keys_can_be_set_and_a_spec_without_data_is_refused(tree, spec, check_data, tmp_path):
    tree.zenodo("dev-test-tau", "fold4_a")
    code, _, err = check_data(spec, "--set", "data.channels=4")
    assert code == 1
    assert "no audio with 4 channels, only with 32" in err
    code, _, err = check_data(spec, "--set", "data.channels=5")
    assert code == 2
    assert "data.channels" in err
    empty = tmp_path / "empty.yaml"
    empty.write_text("name: empty\n")
    assert check_data(empty)[0] == 2


def test_starss23_is_checked_with_the_labels_made_from_its_csv_files(tree, check_data, tmp_path):
    tree.audio("mic_dev/dev-test-tau/fold4_a.wav")
    tree.text("metadata_dev/dev-test-tau/fold4_a.csv", "0,2,0,10,0,100\n1,2,0,10,0,100\n1,2,1,90,0,100\n")
    spec = tmp_path / "starss.yaml"
    spec.write_text(
        f"name: s\ndata: {{use: starss23, folder: {tree.root}, labels_folder: {tmp_path / 'made'}}}\n"
    )
    code, out, _ = check_data(spec, "--json", "-")
    assert code == 0
    split = json.loads(out)["splits"]["test"]
    assert split["classes"][2] == {"class": 2, "name": "Clapping", "frames": 2, "events": 2}
    assert split["time_with_sources"] == {"0": 0.6, "1": 0.2, "2": 0.2} | {
        str(n): 0.0 for n in range(3, 7)
    } | {"more": 0.0}


def test_checking_data_imports_no_torch(tree, spec, tmp_path):
    tree.zenodo("dev-test-tau", "fold4_a", annotations=[tree.annotation(0)])
    code = (
        "import sys\n"
        "from sai_bench.cli.main import main\n"
        f"sys.argv = ['sai-bench', 'check-data', {str(spec)!r}]\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert not leaving.code\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
