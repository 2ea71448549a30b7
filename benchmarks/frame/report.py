"""The results as text."""

from typing import Any

from mle_jax._text import grid

HEADERS = ("contender", "role", "median", "min", "quartiles", "runs", "compile", "x ours", "error", "memory")


def environment_text(environment: dict[str, Any]) -> str:
    """Say in three lines where the numbers come from."""
    versions = [f"{name} {version or 'absent'}" for name, version in environment["packages"].items()]
    flags = f", XLA_FLAGS={environment['xla_flags']}" if environment["xla_flags"] else ""
    load = environment["load_average"]
    return "\n".join(
        [
            f"{environment['device_name']}, {environment['cores']} cores, {environment['system']}{flags}",
            f"mle_jax {environment['mle_jax']} at {environment['commit'] or 'no commit'}, "
            f"Python {environment['python']}, {', '.join(versions)}",
            f"{environment['date']}, load average {'unknown' if load is None else format(load, '.2f')}, float64",
        ]
    )


def workload_text(result: dict[str, Any]) -> str:
    """Lay out the table of one workload, with its targets and notes."""
    threads = "one thread" if result["threads"] == "1" else "default threads"
    title = f"{result['suite']} / {result['workload']}: {result['title']} ({result['device']}, {threads})"
    if "failed" in result:
        return f"{title}\nFAILED: {result['failed']}"
    headers = [*HEADERS]
    rows = [_cells(record, result) for record in result["contenders"]]
    if result["work"] > 1:
        headers.insert(3, f"{result['unit']}/s")
        for row, record in zip(rows, result["contenders"], strict=True):
            row.insert(3, f"{record['rate']:,.0f}" if "rate" in record else "-")
    _insert(headers, rows, "converged", [_percent(r.get("converged")) for r in result["contenders"]])
    _insert(headers, rows, "steps", [_steps(r.get("steps")) for r in result["contenders"]])
    _insert(headers, rows, "roofline", [_percent(r.get("of_roofline")) for r in result["contenders"]])
    lines = [title, grid(headers, rows, left=(0, 1))]
    lines += [f"{record['name']}: {_remark(record)}" for record in result["contenders"] if _remark(record)]
    lines += [f"error: {result['measure']}"]
    lines += _limit_lines(result["limits"]) if result.get("limits") else []
    lines += [_published_line(figure, result) for figure in result.get("published", ())]
    lines += [_target_line(target) for target in result["targets"]]
    return "\n".join(lines)


def seconds(value: float) -> str:
    """Write a duration with three digits and a unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 1.0 or unit == "us":
            break
    number = value * factor
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"


def _cells(record: dict[str, Any], result: dict[str, Any]) -> list[str]:
    elsewhere = " (CPU)" if (record["device"], result["device"]) == ("cpu", "gpu") else ""
    who = [record["name"], record["role"] + elsewhere]
    if "run_s" not in record:
        return [*who, record["status"], *["-"] * (len(HEADERS) - 3)]
    run, memory = record["run_s"], record.get("memory")
    error = record["discrepancy"]
    shown = "nan" if error is None else f"{error:.1e}"
    return [
        *who,
        seconds(run["median"]),
        seconds(run["min"]),
        f"{seconds(run['q1'])} - {seconds(run['q3'])}",
        str(run["n"]),
        seconds(record["compile_s"]),
        "1" if record["name"] == result["base"] else f"{record['ratio']:.3g}" if "ratio" in record else "-",
        shown if record["status"] == "ok" else f"WRONG {shown}",
        _megabytes(memory),
    ]


def _insert(headers: list[str], rows: list[list[str]], name: str, cells: list[str]) -> None:
    """Put a column before the last one, the memory, unless nobody has anything to say in it."""
    if any(cell != "-" for cell in cells):
        headers.insert(-1, name)
        for row, cell in zip(rows, cells, strict=True):
            row.insert(-1, cell)


def _percent(share: float | None) -> str:
    """Write a share with four digits, so that one lane of some thousand that failed is seen."""
    return "-" if share is None else f"{100 * share:.4g} %"


def _steps(steps: dict[str, Any] | None) -> str:
    return "-" if steps is None else f"{steps['mean']:.1f}, at most {steps['max']}"


def _limit_lines(limits: dict[str, Any]) -> list[str]:
    """Say what the work needs at least, and from which ceilings that follows."""
    counts, ceilings, line = limits["counts"], limits["ceilings"], limits["roofline"]
    return [
        f"roofline: {seconds(line['least_s'])}, by {line['limit']}; bytes alone {seconds(line['bytes_s'])}, "
        f"flops {seconds(line['flops_s'])}, exps {seconds(line['exps_s'])}",
        f"the device in this run, float64: {ceilings['bytes_per_s'] / 1e9:.3g} GB/s (triad), "
        f"{ceilings['flops_per_s'] / 1e9:.3g} Gflop/s (matrix product), {ceilings['exps_per_s'] / 1e9:.3g} Gexp/s",
        f"counted: {counts['text']}",
    ]


def _published_line(figure: dict[str, Any], result: dict[str, Any]) -> str:
    faster = figure["ours_is_faster"]
    compared = "ours has no right answer" if faster is None else f"ours is {faster:.3g} times that"
    return f"published: {figure['name']} {figure['rate']:,.0f} {result['unit']}/s ({figure['source']}); {compared}"


def _megabytes(memory: dict[str, Any] | None) -> str:
    if memory is None:
        return "-"
    if memory["device_peak_bytes"] is not None:
        return f"{memory['device_peak_bytes'] / 2**20:,.0f} MB on device"
    before = memory["before_bytes"]
    above = f" (+{(memory['peak_bytes'] - before) / 2**20:,.0f})" if before is not None else ""
    return f"{memory['peak_bytes'] / 2**20:,.0f} MB{above}"


def _remark(record: dict[str, Any]) -> str:
    parts = [record["message"]] if "message" in record else []
    if record["share"] != 1.0 and "run_s" in record:
        parts.append(f"ran {record['share']:.3g} of the work; its times are scaled up to all of it")
    parts += [record["note"]] if record["note"] else []
    return "; ".join(parts)


def _target_line(target: dict[str, Any]) -> str:
    if target["reached"] is None:
        return f"target: {target['text']}: nothing to compare with"
    reached = f"{target['reached']:.3g} times" if target["within_s"] is None else seconds(target["reached"])
    return f"target: {target['text']}: {'met' if target['met'] else 'NOT MET'} ({reached})"
