"""Groups in files, results in folders: scattered rows are found, and a run that was killed goes on where it ended."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from grouped_tables import MEMORY, MODEL, SIZES, assert_closed_form, closed_form, ragged

import mle_jax as mle
from mle_jax.results import group_workers

TABLE = ragged()
SMALL = TABLE[TABLE.groupby("person")["y"].transform("size") == 8]
OPTIONS = {"by": "person", "memory": MEMORY}
ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.filterwarnings("ignore::mle_jax.ConvergenceWarning")  # three groups have one row each


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write the table to three files of many row groups: every group is scattered over all."""
    folder = tmp_path_factory.mktemp("rows")
    for number, part in enumerate(np.array_split(np.arange(len(TABLE)), 3)):
        table = pa.Table.from_pandas(TABLE.iloc[part], preserve_index=False)
        pq.write_table(table, folder / f"rows-{number}.parquet", row_group_size=40)
    return folder


@pytest.fixture(scope="module")
def expected():
    return mle.fit_groups(MODEL, TABLE, **OPTIONS).to_pandas()


def assert_same(fits, expected):
    """Hold a batch against another: the same groups were evaluated in the same shapes, but with other neighbors."""
    frame = fits.to_pandas()
    pd.testing.assert_frame_equal(frame, expected, rtol=1e-12, atol=1e-12)


def parts(folder):
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob("part-*.parquet"))}


def test_rows_scattered_over_files_are_found(files, expected):
    fits = mle.fit_groups(MODEL, files, **OPTIONS)
    assert_closed_form(fits.to_pandas(), TABLE)
    assert_same(fits, expected)
    assert fits.n_observations.tolist() == closed_form(TABLE)["n"].tolist()
    assert fits.buckets["evaluated"].sum() <= 1.5 * SIZES.sum()
    assert fits.failed()["person"].tolist() == closed_form(TABLE).query("n == 1").index.tolist()


def test_files_that_fit_into_memory_keep_their_rows(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for half, path in enumerate(paths):
        pq.write_table(pa.Table.from_pandas(SMALL.iloc[half::2], preserve_index=False), path)
    for source in (paths, ds.dataset(paths)):
        fits = mle.fit_groups(MODEL, source, **OPTIONS)
        np.testing.assert_allclose(fits.params["mu"], closed_form(SMALL)["mu"], rtol=1e-10)
        assert fits[5].n_observations == 8 and np.isfinite(fits[5].covariance("outer_product")).all()


def test_what_needs_the_rows_says_how_to_get_them(files):
    fits = mle.fit_groups(MODEL, files, **OPTIONS)
    lane = int(np.flatnonzero(fits.n_observations == 30)[0])
    one = fits[lane]
    assert one.params["mu"] == fits.params["mu"][lane] and one.status is mle.Status.converged
    assert one.standard_errors()["mu"] == fits.standard_errors()["mu"][lane] and "mu" in one.summary()
    words = r"of these groups the estimates and their standard errors alone were kept; .*evaluate\(model, rows"
    for ask in (
        lambda: fits.covariance(),
        lambda: one.covariance("sandwich"),
        lambda: fits.with_covariance("sandwich"),
        lambda: fits.refit(),
        lambda: mle.influence(one),
    ):
        with pytest.raises(ValueError, match=words):
            ask()
    with pytest.raises(ValueError, match="these are ragged groups; call fit_groups"):
        mle.fit_groups(MODEL, TABLE, **OPTIONS).refit()


def test_numbers_of_groups_are_saved_and_pickled(files, tmp_path):
    fits = mle.fit_groups(MODEL, files, **OPTIONS)
    lane = int(np.flatnonzero(fits.n_observations == 30)[0])
    fits.save(tmp_path / "fits.npz")
    for back in (mle.Fit.load(tmp_path / "fits.npz"), pickle.loads(pickle.dumps(fits))):
        assert back.to_pandas().equals(fits.to_pandas()) and back.summary() == fits.summary()
        assert back[lane].summary() == fits[lane].summary() and str(back.buckets) == str(fits.buckets)
        with pytest.raises(ValueError, match="the estimates and their standard errors alone were kept"):
            back.covariance()
    assert pickle.loads(pickle.dumps(fits[lane])).summary() == fits[lane].summary()


def test_folders_of_a_partitioned_dataset(tmp_path):
    table = pa.Table.from_pandas(SMALL.assign(year=SMALL["person"] % 2), preserve_index=False)
    ds.write_dataset(table, tmp_path / "d", format="parquet", partitioning=["year"], partitioning_flavor="hive")
    frame = mle.fit_groups(MODEL, tmp_path / "d", by=["year", "person"], memory=MEMORY * 2).to_pandas()
    truth = closed_form(SMALL)
    assert frame["year"].tolist() == sorted(truth.index % 2)
    np.testing.assert_allclose(frame.sort_values("person")["mu"], truth["mu"], rtol=1e-10)


def test_integers_with_a_missing_value_anywhere_are_floats_everywhere(tmp_path):
    seen = set()

    def log_density(params, row):
        seen.add(str(row["y"].dtype))
        return -0.5 * (row["y"] - params["a"]) ** 2

    y = pa.array([None if i == 100 else i % 7 for i in range(len(SMALL))], pa.int64())
    pq.write_table(pa.table({"person": SMALL["person"], "y": y}), tmp_path / "a.parquet", row_group_size=50)
    model = mle.Model(log_density, {"a": mle.Real()})
    fits = mle.fit_groups(model, tmp_path / "a.parquet", by="person", memory=3000, missing="drop")
    truth = closed_form(SMALL.assign(y=y.to_pandas().to_numpy()).dropna())
    # The first row alone does not tell: it is looked at before the files are read.
    assert fits.n_observations.sum() == len(SMALL) - 1 and "float64" in seen
    np.testing.assert_allclose(fits.params["a"], truth["mu"], rtol=1e-10, atol=1e-12)


def test_output_is_a_folder_of_parquet_files(files, tmp_path, expected):
    folder = tmp_path / "results"
    fits = mle.fit_groups(MODEL, files, **OPTIONS, output=folder)
    assert_same(fits, expected)
    read = pd.read_parquet(folder)  # the manifest is no part of it
    assert list(read.columns) == [*expected.columns, "n_observations"]
    pd.testing.assert_frame_equal(read.sort_values("person", ignore_index=True)[expected.columns], fits.to_pandas())
    assert sorted(path.name for path in folder.iterdir()) == ["_manifest.json", *parts(folder)]
    assert len(parts(folder)) == np.ceil(fits.buckets["groups"] / fits.buckets["lanes"]).sum()
    before = parts(folder)
    assert_same(mle.fit_groups(MODEL, files, **OPTIONS, output=folder), expected)
    assert parts(folder) == before  # nothing was done again


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("source", ["files", "table"])
def test_stopped_at_any_write_nothing_is_lost(source, files, tmp_path, expected, monkeypatch):
    """Every moment of a run lies between two of its writes, and a write is there or not."""
    table = files if source == "files" else TABLE
    fitted = []
    replace, chunk_table = os.replace, group_workers.chunk_table

    def counted(job, groups, bucket):
        fitted.append(len(groups))
        return chunk_table(job, groups, bucket)

    monkeypatch.setattr(group_workers, "chunk_table", counted)
    stops = 0
    for survived in (0, 1, 2, 1, 5, 3, 100):
        writes = iter(range(survived))

        def limited(*paths, writes=writes):
            if next(writes, None) is None:
                raise Killed
            replace(*paths)

        monkeypatch.setattr(os, "replace", limited)
        try:
            fits = mle.fit_groups(MODEL, table, **OPTIONS, output=tmp_path / "out")
        except Killed:
            stops += 1
    monkeypatch.setattr(os, "replace", replace)
    assert stops == 6
    assert_same(fits, expected)
    chunks = len(parts(tmp_path / "out"))
    assert len(fitted) - chunks <= stops  # at most one chunk again for each stop
    assert not list((tmp_path / "out").glob(".*"))


def test_stopped_while_rows_are_brought_together(files, tmp_path, expected, monkeypatch):
    from mle_jax.data import scattered

    sort = scattered._sort

    def half(paths, *args):
        sort(paths[:1], *args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(scattered, "_sort", half)
        with pytest.raises(Killed):
            mle.fit_groups(MODEL, files, **OPTIONS, output=tmp_path / "out")
    assert (tmp_path / "out" / "_scratch").exists()
    assert_same(mle.fit_groups(MODEL, files, **OPTIONS, output=tmp_path / "out"), expected)


RUN = """
import sys, warnings
import mle_jax as mle
warnings.simplefilter("ignore", mle.ConvergenceWarning)
mle.fit_groups(mle.models.gaussian(), sys.argv[1], by="person", memory=float(sys.argv[3]), output=sys.argv[2])
"""


def test_killed_and_started_again(files, tmp_path, expected):
    """The kill that cannot be caught, of a real process; another process, this one, takes over."""
    folder = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", RUN, str(files), str(folder), str(MEMORY)], env=environment)
    deadline = time.monotonic() + 300
    while not parts(folder):
        assert process.poll() is None and time.monotonic() < deadline, "it ended before its first part was there"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (folder / ".part-000003.parquet.1.tmp").write_text("as it may be left behind")
    before = parts(folder)
    assert json.loads((folder / "_manifest.json").read_text())["complete"] is False
    fits = mle.fit_groups(MODEL, files, **OPTIONS, output=folder)
    assert_same(fits, expected)
    after = parts(folder)
    assert not list(folder.glob(".*"))
    assert len(after) > len(before) and {name: after[name] for name in before} == before


def test_another_run_is_refused_in_words(tmp_path):
    folder = tmp_path / "out"
    mle.fit_groups(MODEL, SMALL, **OPTIONS, output=folder)
    for other, words in (
        ({"table": SMALL.assign(y=0.5)}, "'table'"),
        ({"tolerance": 1e-5}, "'tolerance'"),
        ({"start": {"mu": 1.0}, "fixed": {"variance": 1.0}}, "'start' and 'fixed'"),
        ({"model": mle.models.gaussian_mean(variance=1.0)}, "'model'"),
    ):
        given = {"model": MODEL, "table": SMALL, **OPTIONS, **other}
        with pytest.raises(ValueError, match=re.escape(f"differs in {words}; pass resume=False to begin anew")):
            mle.fit_groups(given.pop("model"), given.pop("table"), **given, output=folder)
    anew = mle.fit_groups(MODEL, SMALL.assign(y=-SMALL["y"]), **OPTIONS, output=folder, resume=False)
    np.testing.assert_allclose(anew.params["mu"], -closed_form(SMALL)["mu"], rtol=1e-10)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not delete")
    with pytest.raises(FileExistsError, match=r"holds 'thesis.txt' and no results of fit_groups"):
        mle.fit_groups(MODEL, SMALL, **OPTIONS, output=tmp_path / "mine", resume=False)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_bad_files(files, tmp_path):
    (tmp_path / "a.parquet").write_text("no Parquet")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        mle.fit_groups(MODEL, tmp_path / "a.parquet", by="person")
    with pytest.raises(ValueError, match="lies inside the table"):
        mle.fit_groups(MODEL, files, **OPTIONS, output=files / "results")
    with pytest.raises(ValueError, match="by names 'persons', but the table has no such column; did you mean 'person'"):
        mle.fit_groups(MODEL, files, by="persons")
    holes = pa.table({"person": pa.array([1, None] * 400), "y": np.arange(800.0)})
    pq.write_table(holes, tmp_path / "b.parquet", row_group_size=100)
    with pytest.raises(ValueError, match=r"column 'person', which tells .* is missing in \d+ of \d+ rows"):
        mle.fit_groups(MODEL, tmp_path / "b.parquet", **OPTIONS)
