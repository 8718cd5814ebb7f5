#!/usr/bin/env bash
# Build the wheel and try it where nothing else of the project is: an environment of its own, an empty folder.
# What it needs comes from uv's cache if `make setup` has run. The wheel stays in dist/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

project=$PWD
uv() { "$project/.venv/bin/python" -m uv "$@"; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

rm -rf dist
uv build --quiet --wheel --out-dir dist
wheel=$(ls dist/*.whl)
echo "wheel: $wheel, $(du -k "$wheel" | cut -f1) KiB"

uv venv --quiet --python "$project/.venv/bin/python" "$place/venv"
uv pip install --quiet --python "$place/venv/bin/python" --constraint constraints.txt --override overrides.txt \
  "medgrpo[app] @ file://$project/$wheel"

mkdir "$place/empty"
cd "$place/empty"
unset PYTHONPATH
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 GRADIO_ANALYTICS_ENABLED=False
bin=$place/venv/bin
quiet() { "$@" > out.log 2>&1 || { cat out.log; echo "wheel: failed: $*" >&2; exit 1; }; }

quiet "$bin/medgrpo" --help
"$bin/python" -c "import medgrpo, app; assert '$place' in medgrpo.__file__ and '$place' in app.__file__"
quiet "$bin/medgrpo" synthesize world --videos 24
quiet "$bin/medgrpo" check world/train.json --frames
base=$("$bin/python" -c "from medgrpo.demo.stages import base_model; print(base_model())")
# The configs come with the wheel: configs/ is not here.
quiet "$bin/medgrpo" fit --config configs/sft.yaml --config configs/demo/sft.yaml --trainer.max_steps=1 \
  --data.init_args.clips_per_batch=2 --data.init_args.num_workers=0 \
  "--paths.model=$base" --paths.records=world/train.json
quiet "$bin/medgrpo" evaluate --model runs/sft/hf --records world/test.json --protocol strict --judge lexicon \
  --rows-per-pair 1 --max-new-tokens 8 --out scores.json
quiet "$bin/python" -m app --help
echo "wheel: installs alone, trains, evaluates, and opens the dashboard"
