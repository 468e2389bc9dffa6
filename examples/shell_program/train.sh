#!/bin/sh
# A program that reads flags and prints its metrics as JSON. Nothing in it is new for hpo.
lr=0.01 seed=0
while [ $# -gt 0 ]; do
  case "$1" in
    --lr) lr=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    *) echo "unknown flag $1" >&2; exit 2 ;;
  esac
done
awk -v lr="$lr" -v seed="$seed" \
  'BEGIN { srand(seed); l = log(lr) / log(10); printf "{\"loss\": %.6f}\n", (l + 2.5) ^ 2 + 0.05 * rand() }'
