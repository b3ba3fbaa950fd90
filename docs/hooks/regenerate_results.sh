#!/usr/bin/env bash
# Makes every committed result anew: run it in a fresh clone (after `pip install -e ".[test]"` into .venv), on a
# machine that does nothing else. The first run has everything to do, the second finds everything done.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=.venv/bin
results=docs/results/quickstart
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT

"$bin/sai-bench" run specs/quickstart.yaml
cp runs/quickstart/result.json "$results/result.json"
"$bin/sai-bench" run specs/quickstart.yaml
cp runs/quickstart/result.json "$results/second_run.json"
"$bin/python" docs/hooks/example_frame.py \
  specs/quickstart.yaml runs/quickstart fold4_room50_mix002 94 docs/images/quickstart_frame.png

"$bin/pytest" tests/benchmarks --benchmark-enable --benchmark-json="$raw"
"$bin/python" docs/hooks/trim_benchmarks.py "$raw" docs/results/benchmarks.json

"$bin/python" docs/hooks/result_tables.py README.md
