"""Copy NIST's nonlinear regressions into tests/data/nist: ``python tests/reference/copy_nist_nonlinear.py FOLDER``.

FOLDER holds one folder per problem, ``nist_nl_NAME``, with the data as ``data.csv``, and the formula, both starts and
the certified values of NIST as ``expected.json``.
"""

import csv
import json
import sys
from pathlib import Path

OUT = Path(__file__).parents[1] / "data" / "nist" / "nonlinear"
CERTIFIED = ("estimates", "standard_errors", "residual_sd")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for folder in sorted(Path(sys.argv[1]).glob("nist_nl_*")):
        case = json.loads((folder / "expected.json").read_text())
        with (folder / "data.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        content = {
            "title": case["title"],
            "response": case["model"]["response"],
            "formula": case["model"]["formula"].split("(response")[0].split("=", 1)[1].strip(),
            **case["starts"],
            **{key: case["certified"][key] for key in CERTIFIED},
        }
        columns = {key: [float(row[key]) for row in rows] for key in rows[0]}
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        lines.append(' "columns": {\n' + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in columns.items()))
        name = folder.name.removeprefix("nist_nl_")
        (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n }\n}\n")


if __name__ == "__main__":
    main()
