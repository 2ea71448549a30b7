"""Copy reference cases into tests/data/cases: ``python tests/reference/copy_cases.py FOLDER case ...``.

FOLDER holds one folder per case with ``data.csv`` and ``expected.json``, computed by R and in 320-bit arithmetic by
people who did not write this library. What is kept: the columns, the roles they play, the answers, their tolerances and
what other packages reach, and the source and license of the data.
"""

import csv
import json
import sys
from pathlib import Path

OUT = Path(__file__).parents[1] / "data" / "cases"
KEPT = (
    *("id", "kind", "title", "source", "licence", "n_obs", "parameters", "estimates", "loglik", "standard_errors"),
    *("tolerance", "peer_accuracy_digits_at_defaults", "separated", "separated_rows_0based", "loglik_supremum"),
    *("finite_estimates", "finite_standard_errors_observed", "non_identified_or_infinite", "active_constraint"),
    "efron",
)
MODEL = ("family", "predictors", "offset", "weights", "clusters", "roles", "response", "trials")


def number(text):
    """Return a number without a needless fraction."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 and not text.startswith("-0") else value


def main():
    folder, *names = sys.argv[1:]
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names:
        case = json.loads((Path(folder) / name / "expected.json").read_text())
        with (Path(folder) / name / "data.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        content = {key: case[key] for key in KEPT if case.get(key) is not None}
        content["model"] = {key: case["model"][key] for key in MODEL if case["model"].get(key)}
        columns = {key: [number(row[key]) for row in rows] for key in rows[0]}
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        lines.append(' "columns": {\n' + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in columns.items()))
        (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n }\n}\n")


if __name__ == "__main__":
    main()
