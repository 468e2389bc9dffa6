"""A training that knows nothing of hpo: it takes arguments, prints JSON lines, and goes wrong where it is told to."""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import curves  # beside this file

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=0.5)
parser.add_argument("--gain", type=float)
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--fold", type=int, default=0)
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--checkpoint", type=Path)
parser.add_argument("--fault", default="")
parser.add_argument("--flag", type=Path)
args = parser.parse_args()

draw = random.Random(args.seed + 1000 * args.fold)
done, total = 0, 0.0
if args.checkpoint and args.checkpoint.exists():
    done, total, state = json.loads(args.checkpoint.read_text())
    draw.setstate((state[0], tuple(state[1]), state[2]))

if args.fault == "environment":
    (args.out / "environment.json").write_text(json.dumps(dict(os.environ)))
if args.fault == "exit":
    print("there are no data", file=sys.stderr)
    sys.exit(3)
if args.fault == "silent":
    sys.exit()
if args.fault == "file":
    print(Path("programs/train.py").read_text())
if args.fault == "children":  # a child in this group that ignores SIGTERM, and a child of it in a group of its own
    inner = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid); "
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    child = subprocess.Popen(
        [sys.executable, "-c", ignores + inner + "sys.stdout.flush(); time.sleep(600)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    (args.out / "pids").write_text(f"{child.pid} {child.stdout.readline().strip()}")

print(f"a log line of trial x={args.x}")
for epoch in range(done + 1, args.epochs + 1):
    total += draw.gauss(0, 0.02)
    value = curves.value(args.x, epoch, args.gain) + total
    step = epoch + 1 if args.fault == "order" and epoch == 2 else epoch
    if args.fault.startswith("ahead"):
        args.checkpoint.write_text(json.dumps([epoch, total, draw.getstate()]))
    if args.fault == "early" and epoch == 2:
        break
    if args.fault.endswith("kill-once") and epoch == 3 and not args.flag.exists():
        args.flag.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    nan = args.fault == "nan" and epoch == 2
    print(json.dumps({"step": step, "val": float("nan") if nan else value, "loss": 1 - value, "phase": "val"}))
    sys.stdout.flush()
    if args.checkpoint:
        args.checkpoint.write_text(json.dumps([epoch, total, draw.getstate()]))
    if args.fault == "children":
        time.sleep(600)
(args.out / "model.pt").write_bytes(b"weights")
(args.out / "plots").mkdir(exist_ok=True)
(args.out / "plots" / "roc.png").write_bytes(b"picture")
