#!/bin/sh
# Minimizes a noisy bowl: train.sh --lr 0.1 --opt adam --seed 42
lr=0.01; seed=0; opt=adam
while [ $# -gt 0 ]; do
  case "$1" in
    --lr) lr=$2; shift 2;;
    --seed) seed=$2; shift 2;;
    --opt) opt=$2; shift 2;;
    *) echo "unknown flag $1" >&2; exit 2;;
  esac
done
awk -v lr="$lr" -v seed="$seed" -v opt="$opt" 'BEGIN {
  srand(seed); l = log(lr) / log(10); o = (opt == "sgd") ? 0.3 : 0
  printf "{\"loss\": %.6f, \"acc\": %.4f}\n", (l + 2.5) ^ 2 + o + 0.05 * rand(), 1 / (1 + (l + 2.5) ^ 2)
}'
