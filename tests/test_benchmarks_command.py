"""`python -m benchmarks` as a process: from anywhere, with bad options, with what is missing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from benchmarks.frame import command
from benchmarks.frame.command import main
from benchmarks.frame.running import run_workload
from benchmarks.workloads import all_workloads, suites

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "benchmarks" / "README.md").read_text()


def has_gpu():
    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


def run_from(folder, *options):
    """Run the benchmarks in another folder; isolated (-I), so that only the checkout itself can be what is imported."""
    return subprocess.run(
        [sys.executable, "-I", str(ROOT / "benchmarks"), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def keys_of(value):
    """Yield every key of nested JSON but the names of packages and sizes, which are data."""
    if isinstance(value, list):
        for entry in value:
            yield from keys_of(entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield key
            if key not in ("packages", "size"):
                yield from keys_of(entry)


def test_a_suite_runs_from_anywhere_and_writes_what_the_readme_describes(tmp_path):
    done = run_from(tmp_path, "--suite", "text", "--quick", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["schema"] == command.SCHEMA and f"version {command.SCHEMA}" in README
    assert [result["workload"] for result in content["results"]] == ["text_descent", "text_batch"]
    for result in content["results"]:
        statuses = {record["name"]: record["status"] for record in result["contenders"]}
        assert set(statuses.values()) <= {"ok", "absent"}, statuses
        assert result["threads"] == "default" and f"{result['suite']} / {result['workload']}" in done.stdout
    missing = sorted({key for key in keys_of(content) if f"`{key}`" not in README})
    assert not missing, f"benchmarks/README.md does not describe {missing}"
    assert "say nothing about speed" in done.stdout


def assert_ours_is_right(result):
    for record in result["contenders"]:
        # A peer may be less exact than asked: PyTorch's polygamma is.
        allowed = {"ok"} if record["role"] == "ours" else {"ok", "absent", "wrong"}
        assert record["status"] in allowed, record


HERE = [workload for workload in all_workloads() if workload.name != "cold_process" and workload.suite != "text"]


@pytest.mark.slow
@pytest.mark.parametrize("workload", HERE, ids=lambda workload: workload.name)
def test_every_other_workload_runs(workload):
    """In this process: that each gets one of its own is what the suite `text` shows above."""
    with jax.enable_x64(True):
        result = run_workload(workload, quick=True)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert_ours_is_right(result)


@pytest.mark.slow
def test_cold_processes_are_started_from_a_process_without_a_cache():
    assert_ours_is_right(command._child({"kind": "times", "workload": "cold_process", "quick": True}, "default", "cpu"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suite", "txt"], "--suite 'txt' does not exist; did you mean 'text'?"),
        (["--workload", "poisson_bach"], "--workload 'poisson_bach' does not exist; did you mean 'poisson_batch'?"),
        (["--suite", "text", "--workload", "zzz"], "--workload 'zzz' does not exist; the workloads are "),
        (["--suite", "zzz"], "--suite 'zzz' does not exist; the suites are text, gradient,"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["--json"], "argument --json: expected one argument"),
        (["--json", "."], "is a folder, but it must be a file"),
        (["--json", "no/such/folder/out.json"], "there is no folder no/such/folder; make it first"),
    ],
)
def test_bad_options_give_one_line_and_status_2(options, message, capsys):
    try:
        status = main(options)
    except SystemExit as leaving:
        status = leaving.code
    printed = capsys.readouterr()
    assert status == 2 and printed.out == ""
    assert message in printed.err and printed.err.count("\n") == 1 and printed.err.startswith("benchmarks: ")


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_a_missing_gpu_is_said_in_one_line(capsys):
    assert main(["--suite", "text", "--device", "gpu", "--quick"]) == 2
    assert re.fullmatch(r"benchmarks: --device gpu, but JAX finds none here \(only: cpu\)\n", capsys.readouterr().err)


def test_memory_is_measured_in_a_process_of_its_own():
    task = {"kind": "memory", "workload": "text_descent", "contender": "NumPy, gradient by hand", "quick": True}
    found = command._child(task, "1", "cpu")
    assert found["device_peak_bytes"] is None
    assert 10 * 2**20 < found["peak_bytes"] < 2**32  # an interpreter with NumPy and JAX, no more than that


def test_a_child_that_dies_is_reported_and_stops_nobody(monkeypatch, tmp_path, capsys):
    with pytest.raises(ChildProcessError, match="the process of nothing ended: StopIteration"):
        command._child({"kind": "times", "workload": "nothing", "quick": True}, "default", "cpu")

    environment = {
        **dict.fromkeys(("device_name", "system", "mle_jax", "commit", "python", "date", "xla_flags"), "made up"),
        **{"cores": 2, "packages": {"torch": None}, "load_average": 9.0},
    }

    def child(task, threads, device):
        if task["kind"] == "environment":
            return environment
        raise ChildProcessError("it ran out of memory")

    monkeypatch.setattr(command, "_child", child)
    assert main(["--suite", "gradient", "--json", str(tmp_path / "out.json")]) == 1
    printed = capsys.readouterr().out
    assert "WARNING: the load average is 9.00: others are using this machine" in printed
    assert printed.count("FAILED: it ran out of memory") == 4  # two workloads, one thread and default threads
    assert len(json.loads((tmp_path / "out.json").read_text())["results"]) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that cannot be written")
def test_a_full_disk_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(command, "_child", lambda *_: {"load_average": None})
    monkeypatch.setattr(command.report, "environment_text", lambda _: "made up")
    assert main(["--suite", "gradient", "--json", "/dev/full", "--quick"]) == 2
    assert capsys.readouterr().err == (
        "benchmarks: --json /dev/full could not be written: No space left on device; choose another file\n"
    )


def test_a_reader_that_leaves_early_costs_neither_results_nor_a_traceback(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks.frame import command; "
    code += (
        "command._child = lambda *_: {'load_average': None}; command.report.environment_text = lambda _: 'made up'; "
    )
    code += "command.report.workload_text = lambda _: 'x' * 100_000; sys.exit(command.main(sys.argv[1:]))"
    arguments = [sys.executable, "-c", code, "--suite", "gradient", "--quick", "--json", str(tmp_path / "out.json")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "made up\n"
        running.stdout.close()
        assert running.stderr.read() == "" and running.wait() == 1
    assert json.loads((tmp_path / "out.json").read_text())["results"]


def test_workloads_are_named_once_and_by_suite():
    names = [workload.name for workload in all_workloads()]
    assert len(set(names)) == len(names) and {"text", "gradient", "batch"} <= set(suites())
    assert all(f"`{suite}`" in README for suite in suites())
    for workload in all_workloads():
        assert workload.quick.keys() == workload.size.keys()
        assert workload.title.format(**workload.size)
