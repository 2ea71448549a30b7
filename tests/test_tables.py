"""Tables: values kept at full precision, texts rounded for reading, p-values right far out in the tail."""

import copy
import html.parser
import math
import pickle
import re

import mpmath
import numpy as np
import pytest

from mle_jax._optional import optional
from mle_jax.tables import Table, coefficient_table, summary_text
from mle_jax.tables.cells import column_cells

pytestmark = pytest.mark.smoke


def normal_quantile(probability: mpmath.mpf) -> mpmath.mpf:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * probability - 1)


@pytest.fixture
def mixed() -> Table:
    columns = {"term": ["a|b", "<x>", "w_1"], "ok": [True, False, True], "n": [1, 2, 3], "x": [0.5, np.nan, -2.0]}
    return Table(columns, title="A & B", notes=["100 % made up"])


def test_table_keeps_columns_in_order_and_at_full_precision(mixed):
    assert mixed.columns == ("term", "ok", "n", "x")
    assert len(mixed) == 3
    assert Table({"x": [math.pi]})["x"].tolist() == [math.pi]
    assert [row["n"] for row in mixed] == [1, 2, 3]
    assert next(iter(mixed)) == {"term": "a|b", "ok": True, "n": 1, "x": 0.5}


def test_table_cannot_be_changed_from_outside(mixed):
    source = np.array([1.0, 2.0])
    table = Table({"x": source})
    source[0] = 9.0
    assert table["x"][0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        table["x"][0] = 9.0
    with pytest.raises(TypeError):
        table.values["y"] = source
    with pytest.raises(AttributeError):
        table.title = "other"


def test_table_goes_from_process_to_process(mixed):
    for back in (pickle.loads(pickle.dumps(mixed)), copy.deepcopy(mixed)):
        assert str(back) == str(mixed) and back.notes == mixed.notes and back.columns == mixed.columns
        np.testing.assert_array_equal(back["x"], mixed["x"])
        assert not back["x"].flags.writeable


def test_table_without_rows_prints_its_headers():
    table = Table({"term": np.array([], dtype=str), "x": np.array([])})
    assert str(table).splitlines()[0].split() == ["term", "x"]
    assert list(table) == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "no columns, but a table needs at least one"),
        ({"a": [1, 2], "b": [1]}, r"different lengths \('a' 2, 'b' 1\)"),
        ({"w": np.zeros((2, 3))}, r"column 'w' has shape \(2, 3\), but a column is one-dimensional"),
        ({"w": 1.0}, r"column 'w' has shape \(\)"),
    ],
)
def test_table_refuses_what_is_no_table(columns, message):
    with pytest.raises(ValueError, match=message):
        Table(columns)


@pytest.mark.parametrize(("name", "hint"), [("terms", "did you mean 'term'"), ("zzz", "the columns are 'term', 'ok'")])
def test_unknown_column_is_answered_with_the_nearest(mixed, name, hint):
    with pytest.raises(KeyError, match=hint):
        mixed[name]


@pytest.mark.parametrize(
    ("name", "column", "cells"),
    [
        ("p_value", [0.04215, 0.0009999, 0.001, 1.0, np.nan], ["0.042", "<0.001", "0.001", "1.000", "-"]),
        ("statistic", [1.959964, -0.001, 1e9, np.inf], ["1.96", "-0.00", "1.0000e+09", "inf"]),
        ("x", [1.5, 0.25], ["1.5000", "0.2500"]),  # similar sizes: points below one another
        ("x", [123.456789, 1.0, 0.0], ["123.457", "1.000", "0"]),
        ("x", [147.4753885, 0.4851784, 12893.21], ["147.48", "0.48518", "12893"]),  # sizes apart: five digits each
        ("x", [1.25e-16, 3e-14], ["1.2500e-16", "3.0000e-14"]),
        ("x", [np.nan, -np.inf], ["-", "-inf"]),
        ("x", [1, 20000000000], ["1", "20000000000"]),
        ("x", [True, False], ["yes", "no"]),
        ("x", ["two\nlines", None], ["two lines", "-"]),
    ],
)
def test_cells_have_the_precision_of_their_column(name, column, cells):
    assert column_cells(name, np.array(column)) == cells


def test_text_aligns_numbers_on_the_right(mixed):
    assert str(mixed).splitlines() == [
        "A & B",
        "term  ok   n        x",
        "---------------------",
        "a|b   yes  1   0.5000",
        "<x>   no   2        -",
        "w_1   yes  3  -2.0000",
        "100 % made up",
    ]
    assert repr(mixed) == str(mixed)


def test_long_table_prints_its_ends_and_writes_everything():
    table = Table({"i": np.arange(1000)})
    text = str(table)
    assert text.count("\n") < 70
    assert "rows 31 to 970 of 1000 are not shown" in text
    assert "\n 29\n" in text
    assert "\n970\n" in text
    assert "\n970\n" not in text.replace("\n970\n", "")
    assert table.to_markdown().count("\n") == 1001
    assert len(table["i"]) == 1000


def test_markdown_escapes_what_would_break_a_row(mixed):
    title, table, note = mixed.to_markdown().split("\n\n")
    lines = table.splitlines()
    assert title == "**A & B**"
    assert note == "100 % made up"
    assert lines[1] == "| :-- | :-- | --: | --: |"
    assert lines[2] == r"| a\|b | yes | 1 | 0.5000 |"
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in lines)


def test_latex_escapes_special_characters_and_sets_minus_signs(mixed):
    lines = mixed.to_latex().splitlines()
    assert lines[0] == r"\begin{table}"
    assert r"\caption{A \& B}" in lines
    assert r"\begin{tabular}{llrr}" in lines
    assert r"a\textbar{}b & yes & 1 & 0.5000 \\" in lines
    assert r"w\_1 & yes & 3 & $-2.0000$ \\" in lines
    assert r"\par\footnotesize 100 \% made up" in lines
    bare = Table({"x": ["[a]"]}).to_latex()
    assert bare.startswith(r"\begin{tabular}")
    assert "{[}a{]} \\\\" in bare  # a bare [ would be taken for the option of the line break above


def test_html_is_escaped_and_well_formed(mixed):
    depth, cells = [], []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            depth.append(tag)

        def handle_endtag(self, tag):
            assert depth.pop() == tag

        def handle_data(self, data):
            if depth and depth[-1] in ("td", "th", "caption", "p"):
                cells.append(data)

    Reader(convert_charrefs=True).feed(mixed.to_html())
    assert depth == []
    assert cells[:5] == ["A & B", "term", "ok", "n", "x"]
    assert cells[5:13] == ["a|b", "yes", "1", "0.5000", "<x>", "no", "2", "-"]
    assert "<x>" not in mixed.to_html()
    assert mixed._repr_html_() == mixed.to_html()


def test_frames_hold_the_same_values(mixed):
    frame, arrow = mixed.to_pandas(), mixed.to_arrow()
    assert list(frame.columns) == list(mixed.columns) == arrow.column_names
    for name in ("ok", "n"):
        assert frame[name].tolist() == mixed[name].tolist() == arrow[name].to_pylist()
    np.testing.assert_array_equal(frame["x"].to_numpy(), mixed["x"])
    np.testing.assert_array_equal(arrow["x"].to_numpy(), mixed["x"])
    frame.loc[0, "n"] = 7  # a copy: the table stays as it was
    assert mixed["n"][0] == 1


def test_missing_package_is_one_sentence():
    with pytest.raises(ImportError, match=r"^fit.to_xyz\(\) needs no_such_package: pip install 'mle-jax\[data\]'$"):
        optional("no_such_package.part", "data", "fit.to_xyz()")


def test_error_inside_an_optional_package_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        optional("half_installed", "data", "this")


# The relative error of erfc(z / sqrt(2)) is the rounding of its argument times z^2: at most 2^-53 z^2 of each of the
# two roundings, and a few units of the library's erfc.
@pytest.mark.parametrize("z", [0.0, 0.5, 1.96, 5.0, 10.0, 20.0, 37.0])
def test_p_values_keep_their_digits_in_the_tail(z):
    with mpmath.workdps(40):
        exact = mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2))
        for sign in (1.0, -1.0):
            table = coefficient_table(["a"], [sign * z], [1.0])
            error = abs(mpmath.mpf(table["p_value"][0]) / exact - 1)
            assert table["statistic"][0] == sign * z
            assert error < (z**2 + 8) * 2.0**-52


def test_p_value_of_ten_standard_errors():
    # 2 (1 - Phi(10)) = erfc(10 / sqrt(2)), by mpmath with 40 digits.
    assert coefficient_table(["a"], [10.0], [1.0])["p_value"][0] == pytest.approx(1.5239706048e-23, rel=1e-10, abs=0)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99, 0.999999])
def test_interval_is_the_normal_quantile_wide(level):
    with mpmath.workdps(40):
        quantile = normal_quantile((1 + mpmath.mpf(level)) / 2)
        expected = [float(3 - quantile / 4), float(3 + quantile / 4)]
    table = coefficient_table(["a"], [3.0], [0.25], level=level)
    # 1e-14: the quantile's 16 digits (algorithm AS 241), with room for the two roundings after it.
    np.testing.assert_allclose([table["conf_low"][0], table["conf_high"][0]], expected, rtol=1e-14)


def test_fixed_and_unreliable_entries():
    table = coefficient_table(["free", "fixed", "lost"], [1.0, 2.0, 3.0], [0.5, 0.0, np.nan])
    assert table.columns == ("term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high")
    fixed, lost = list(table)[1:]
    assert math.isnan(fixed["statistic"])
    assert math.isnan(fixed["p_value"])
    assert fixed["conf_low"] == fixed["conf_high"] == 2.0
    assert all(math.isnan(lost[name]) for name in table.columns[2:])
    assert lost["estimate"] == 3.0


@pytest.mark.parametrize("level", [0.0, 1.0, 95, -0.5, math.nan])
def test_level_outside_zero_and_one_is_refused(level):
    with pytest.raises(ValueError, match=re.escape(f"level is {level}, but a confidence level lies between 0 and 1")):
        coefficient_table(["a"], [1.0], [1.0], level=level)


def test_summary_stands_in_two_columns():
    table = coefficient_table(["w[0]"], [1.0], [0.5], title="linear_gaussian", notes=["first remark"])
    header = [("Model", "line"), ("Observations", "235"), ("Log-likelihood", "-1.5"), ("AIC", "2897.41")]
    lines = summary_text(header, table, ["a long remark " * 12]).splitlines()
    assert lines[0] == "linear_gaussian"
    assert re.split(r"\s{2,}", lines[2]) == ["Model", "line", "Log-likelihood", "-1.5"]
    assert re.split(r"\s{2,}", lines[3]) == ["Observations", "235", "AIC", "2897.41"]
    assert lines[2].index("Log-likelihood") == lines[3].index("AIC")
    assert len(lines[2]) == len(lines[3])  # the right values end in one column
    width = len(lines[1])
    assert set(lines[1]) == {"="}
    assert "first remark" in lines
    assert max(map(len, lines)) == width
    assert " ".join(lines[-3:]).count("a long remark") == 12


def test_summary_without_header_or_title_is_the_table():
    lines = summary_text([], Table({"x": [1.5]})).splitlines()
    assert lines == ["======", "     x", "------", "1.5000", "======"]
