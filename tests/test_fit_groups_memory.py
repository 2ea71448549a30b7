"""`fit_groups` on files larger than the memory it may take: measured in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory is read from /proc"),
]

RUN = """
import re, sys, threading, time
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
import mle_jax as mle

MEMORY, LANES = 16e6, 1264  # lanes of 100 rows in a chunk: of both files the shape is the same

def write(path, groups):
    rng = np.random.default_rng(0)
    schema = pa.schema([("group", pa.int64()), ("y", pa.float64())])
    with pq.ParquetWriter(path, schema) as writer:
        for _ in range(100):  # every group has one row in every row group
            keys = rng.permutation(groups)
            writer.write_table(pa.table({"group": keys, "y": keys % 7 + rng.normal(size=groups)}))

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

peak, done = [0], threading.Event()

def watch():
    while not done.wait(0.01):
        peak[0] = max(peak[0], anonymous())

folder = Path(sys.argv[1])
write(folder / "small.parquet", 2 * LANES)
write(folder / "large.parquet", 70 * LANES)
model = mle.models.gaussian()
threading.Thread(target=watch, daemon=True).start()
mle.fit_groups(model, folder / "small.parquet", by="group", memory=MEMORY)  # compiles everything
before, peak[0] = peak[0], 0
fits = mle.fit_groups(model, folder / "large.parquet", by="group", memory=MEMORY, output=folder / "out")
done.set()
assert fits.converged.all() and len(fits) == 70 * LANES and fits.buckets["lanes"].tolist() == [LANES]
assert np.abs(fits.params["mu"] - np.arange(len(fits)) % 7).max() < 0.6  # six standard errors
print(peak[0] - before)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert finished.returncode == 0, finished.stderr
    rows = 70 * 1264 * 100 * 16  # 142 MB, of which 16 may be held at a time; the results are 8 MB
    assert int(finished.stdout.split()[-1]) < rows * 2 / 3
