import shutil

import pytest


def test_the_examples_of_the_diagnostics_page_run(repository, blocks, tmp_path, monkeypatch, capsys):
    case = repository / "tests" / "cases" / "april" / "sparse"
    shutil.copytree(case / "labels", tmp_path / "labels")
    (tmp_path / "predictions").mkdir()
    for path in (case / "predictions").iterdir():
        shutil.copy(path, tmp_path / "predictions" / path.name.replace("_inference", ""))
    monkeypatch.chdir(tmp_path)

    examples = blocks((repository / "docs" / "diagnostics.md").read_text(), "python")
    names = {}
    for example in examples:
        exec(compile(example, "diagnostics.md", "exec"), names)

    assert capsys.readouterr().out
    assert names["result"]["oracles"]["masks"]["numbers"]["pearson"] == pytest.approx(1)
    assert len(names["parts"]) == 2


def test_the_diagnostics_page_names_every_part_of_the_result(repository, result_of_nothing):
    text = (repository / "docs" / "diagnostics.md").read_text()
    for key in result_of_nothing:
        assert f"`{key}`" in text or f'["{key}"]' in text
    for oracle in result_of_nothing["oracles"]:
        assert f"| `{oracle}` |" in text


@pytest.fixture
def result_of_nothing():
    from sai_bench.metrics.diagnosing.diagnostics import diagnose
    from sai_bench_builtin.configs.metric import AprilConfig
    from sai_bench_builtin.metrics.dcase2026_april import April

    return diagnose(April(AprilConfig()), [])
