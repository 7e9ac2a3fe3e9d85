#!/usr/bin/env bash
# Builds the wheel, installs it into a clean virtual environment, and runs its tests: python/check.sh [ARGUMENTS OF PYTEST]
# BURN_SVM_VENV names the environment, python/.venv by default; BURN_SVM_DATA a folder of real data, of which some tests are.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${BURN_SVM_VENV:-$PWD/python/.venv}
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
python3 -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9.4,<2'
"$venv/bin/maturin" build --release --manifest-path python/Cargo.toml --interpreter "$venv/bin/python" --out "$wheels"
wheel=$(ls "$wheels"/burn_svm-*.whl)
"$venv/bin/pip" install --quiet --disable-pip-version-check "$wheel[test,dask]"
size=$(stat -c %s "$wheel")
printf 'wheel: %s bytes\n' "$size"
[ "$size" -lt 40000000 ] || { echo "the wheel is larger than 40 MB" >&2; exit 1; }
# Threads of linear algebra libraries would stand in each other's way on a small machine.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} "$venv/bin/python" -m pytest python/tests -rs -p no:cacheprovider "$@"
