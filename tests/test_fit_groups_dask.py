"""`fit_groups(client=...)`: two worker processes, one of which dies, give what one process gives."""

import os
import signal
import threading
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from grouped_tables import MEMORY, MODEL, assert_closed_form, ragged

import mle_jax as mle

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")

TABLE = ragged()
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::mle_jax.ConvergenceWarning")]


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


def kill_after_first_part(folder, process):
    """Wait for the first results, and kill a process."""
    deadline = time.monotonic() + 300
    while not list(folder.glob("part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)


def test_a_worker_that_is_killed_is_no_loss(client, tmp_path):
    pq.write_table(pa.Table.from_pandas(TABLE), tmp_path / "rows.parquet", row_group_size=50)
    before = client.run(os.getpid)
    victim = next(iter(before.values()))
    killer = threading.Thread(target=kill_after_first_part, args=(tmp_path / "out", victim))
    killer.start()
    options = {"by": "person", "columns": {"y": "y"}, "memory": MEMORY, "output": tmp_path / "out"}
    fits = mle.fit_groups(MODEL, tmp_path / "rows.parquet", client=client, **options)
    killer.join()
    assert victim not in client.run(os.getpid).values()
    assert_closed_form(fits.to_pandas(), TABLE)
    here = mle.fit_groups(MODEL, TABLE, by="person", memory=MEMORY).to_pandas()
    pd.testing.assert_frame_equal(fits.to_pandas(), here, rtol=1e-12, atol=1e-12)


def test_rows_in_memory_are_sent_to_the_workers(client):
    fits = mle.fit_groups(MODEL, TABLE, by="person", client=client, memory=MEMORY)
    assert_closed_form(fits.to_pandas(), TABLE)
