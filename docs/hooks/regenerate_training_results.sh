#!/usr/bin/env bash
# Trains every system of docs/results/training anew and brings the weights that specs/weights ships: run it in a fresh
# clone (after `pip install -e ".[test]"` into .venv), on a machine with two cores that does nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/.venv/bin
# Nothing in the clone changes until everything is measured: the records say whether it was clean.
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/training"
"$bin/sai-bench" render specs/data/rooms13.yaml
"$bin/python" docs/hooks/rendering_time.py "$new/training/rendering.json"
read -ra specs < <(PYTHONPATH=docs/hooks "$bin/python" -c "import training_tables; print(*training_tables.STAGES)")

for name in "${specs[@]}"; do
  OMP_NUM_THREADS=1 "$bin/torchrun" --nproc-per-node 2 -m sai_bench.cli train "specs/$name.yaml"
  "$bin/sai-bench" run "specs/$name.yaml"
  "$bin/python" docs/hooks/collect_training.py "specs/$name.yaml" "$new/training/$name"
done
"$bin/python" docs/hooks/mask_shapes.py "$new/training/mask_shapes.json"
"$bin/sai-bench" export-weights specs/steered.yaml "$new/steered_rooms13.safetensors"

mkdir -p docs/results/training
cp -r "$new"/training/* docs/results/training
cp "$new/steered_rooms13.safetensors" specs/weights
# These are about the weights that are shipped, so that the record says that the clone has changed.
"$bin/sai-bench" run specs/steered_choices.yaml
"$bin/python" docs/hooks/collect_training.py specs/steered_choices.yaml docs/results/training/steered_choices
"$bin/python" docs/hooks/learning_curves.py docs/images/learning_curves.png
"$bin/python" docs/hooks/result_tables.py specs/weights/README.md
