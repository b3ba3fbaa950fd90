#!/usr/bin/env bash
# Makes every committed result anew: run it in a fresh clone (after `pip install -e ".[test]"` into .venv), on a
# machine that does nothing else. The first run has everything to do, the second finds everything done.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=.venv/bin
results=docs/results/quickstart
# Nothing in the clone changes until everything is measured: the records say whether it was clean.
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

"$bin/sai-bench" run specs/quickstart.yaml
cp runs/quickstart/result.json "$new/result.json"
"$bin/sai-bench" run specs/quickstart.yaml
cp runs/quickstart/result.json "$new/second_run.json"
"$bin/sai-bench" run specs/quickstart.yaml --plugin plugins/example_single_file.py \
  --set system.fusion.use=mean --out runs/mean 2>&1 >"$new/tables" | sed "s#$PWD/##" >"$new/mean_fusion.log"
"$bin/python" docs/hooks/example_frame.py \
  specs/quickstart.yaml runs/quickstart fold4_room50_mix002 94 "$new/quickstart_frame.png"
mkdir -p "$new/report"
report=(specs/report.yaml --set system.prior.head=random)
"$bin/sai-bench" describe "${report[@]}" --json "$new/report/describe.json"
"$bin/sai-bench" bench "${report[@]}" --json "$new/report/bench_fp32.json"
bf16=(--set inference.precision=bf16)
"$bin/sai-bench" bench "${report[@]}" "${bf16[@]}" --json "$new/report/bench_bf16.json"
"$bin/sai-bench" bench "${report[@]}" "${bf16[@]}" --set inference.compile=true \
  --json "$new/report/bench_bf16_compiled.json"
"$bin/pytest" tests/benchmarks -m "" --benchmark-enable --benchmark-json="$new/benchmarks_raw.json"

cp "$new/result.json" "$new/second_run.json" "$new/mean_fusion.log" "$results"
cp "$new/quickstart_frame.png" docs/images
mkdir -p docs/results/report && cp "$new"/report/*.json docs/results/report
"$bin/python" docs/hooks/trim_benchmarks.py "$new/benchmarks_raw.json" docs/results/benchmarks.json
"$bin/python" docs/hooks/result_tables.py README.md
