#!/usr/bin/env bash
# Runs fuzz targets one after another: fuzz/run.sh EXECUTIONS [TARGET...]
# Needs a nightly toolchain and cargo-fuzz. Prints a line of figures a target; a find stays in fuzz/artifacts/TARGET.
set -euo pipefail
cd "$(dirname "$0")"
runs=${1:?how many executions?}
shift
targets=("$@")
if [ ${#targets[@]} = 0 ]; then mapfile -t targets < <(cargo +nightly fuzz list); fi
[ -d seeds ] || python3 make_seeds.py
folder=${CARGO_TARGET_DIR:-$PWD/target}
cargo +nightly fuzz build -s none --target-dir "$folder"
program=$folder/$(rustc -vV | sed -n "s/host: //p")/release
failed=0
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    options=(-runs="$runs" -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="artifacts/$target/")
    case $target in
    # Records of 3,073 bytes, and archives of them.
    cifar | cifar_tar) options+=(-max_len=12288) ;;
    model | checkpoint | config | images | parquet | arrow | npy) options+=(-max_len=8192) ;;
    *) options+=(-max_len=4096) ;;
    esac
    if [ -e "dictionaries/$target.dict" ]; then options+=(-dict="dictionaries/$target.dict"); fi
    start=$SECONDS
    "$program/$target" "${options[@]}" "corpus/$target" "seeds/$target" >"artifacts/$target/log" 2>&1 || failed=1
    printf '%-10s %s s' "$target" $((SECONDS - start))
    awk '/number_of_executed_units/ { printf ", %d executions", $2 } /peak_rss_mb/ { printf ", peak RSS %d MB", $2 }
         / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
         /^peak of live/ { printf ", %s MiB alive", $5 } END { printf ", coverage %d\n", cov }' "artifacts/$target/log"
    if grep -q '^SUMMARY\|panicked' "artifacts/$target/log"; then grep '^SUMMARY\|panicked' "artifacts/$target/log" | head -3; fi
done
exit $failed
