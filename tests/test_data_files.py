"""Files in: the numbers exactly as written, and for what cannot be read the file, the line and what to do."""

import datetime
import decimal
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mle_jax.data.files import read_file


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes | pa.Table, name: str = "data.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def awkward_floats() -> np.ndarray:
    """Return floats of every size, drawn by their bits, and the ends of the range."""
    bits = np.random.default_rng(3).integers(0, 2**64, 2000, dtype=np.uint64)
    drawn = bits.view(np.float64)
    ends = np.array([0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1 / 3])
    return np.concatenate([drawn[np.isfinite(drawn)], ends])


def test_floats_are_read_to_the_last_bit(write):
    values = awkward_floats()
    file = read_file(write("a\n" + "\n".join(map(repr, values.tolist())) + "\n"))
    assert file.numbers("a").data.tobytes() == values.tobytes()
    file = read_file(write(pa.table({"a": values}), "data.parquet"))
    assert file.numbers("a").data.tobytes() == values.tobytes()


def test_whole_numbers_stay_whole_even_beside_missing_ones(write):
    huge = 2**53 + 1  # no float64
    column = read_file(write(f"a,b\n{huge},1\n,2\n")).numbers("a")
    assert column.dtype == np.int64 and column.mask.tolist() == [False, True]
    assert int(column[0]) == huge
    assert read_file(write("a\n18446744073709551615\n")).numbers("a").tolist() == [2.0**64]


def test_missing_entries_are_masked(write):
    file = read_file(write("a,b,c,d\n1,,NA,true\nNaN,,2.5,\n 3 ,,n/a,false\n"))
    assert file.numbers("a").tolist() == [1, None, 3]
    assert file.numbers("b").tolist() == [None, None, None]
    assert file.numbers("c").tolist() == [None, 2.5, None]
    assert file.numbers("d").tolist() == [True, None, False]
    table = pa.table({"a": [1.5, float("nan"), None]})  # two ways of Parquet to say missing
    assert read_file(write(table, "data.parquet")).numbers("a").tolist() == [1.5, None, None]


def test_numbers_in_text_are_numbers(write):
    # A word that appears late turns the type of the whole column: the rest must not suffer.
    file = read_file(write("a,b\n1.5,x\n 2 ,y\n-inf,z\n NA ,u\n"))
    assert file.numbers("a").tolist() == [1.5, 2.0, -np.inf, None]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()):
        table = pa.table({"a": pa.array(["1.5", None], kind)})
        assert read_file(write(table, "a.parquet")).numbers("a").tolist() == [1.5, None]


@pytest.mark.parametrize(
    "content",
    [
        *("a,b\n1,2\n3,4\n", "a;b\n1;2\n3;4\n", "a\tb\n1\t2\n3\t4\n", "a|b\n1|2\n3|4"),
        *("\ufeffa,b\r\n1,2\r\n3,4\r\n", "a,b\r1,2\r3,4\r", ' a , b\n\n1, 2\n\n"3",4\n'),
    ],
    ids=["comma", "semicolon", "tab", "bar", "mark and CRLF", "CR", "blanks"],
)
def test_every_usual_layout_gives_the_same_table(write, content):
    file = read_file(write(content))
    assert file.names == ["a", "b"] and file.n_rows == 2
    assert [file.numbers(name).tolist() for name in file.names] == [[1, 3], [2, 4]]


def test_separator_may_be_said(write):
    path = write('a b;"c,d"\n1 2;3\n')
    assert read_file(path).names == ["a b", "c,d"]
    assert read_file(path, separator=" ").names == ["a", 'b;"c,d"']
    with pytest.raises(ValueError, match=r"line 2 of data.csv has 1 field, but the header has 2 \(separated by ','\)"):
        read_file(path, separator=",")


def test_lines_are_those_an_editor_shows(write):
    file = read_file(write('a,b\n\n1,"two\nlines"\n\r\nx,2\n'))
    assert [file.place(row) for row in (0, 1)] == ["line 3", "line 6"]
    with pytest.raises(TypeError, match=r"column 'a' must hold numbers, but line 6 of data.csv has 'x'; correct it"):
        file.numbers("a")
    assert read_file(write(pa.table({"a": [1, 2]}), "a.parquet")).place(1) == "row 2"


def test_kind_of_file_is_told_by_its_content(write, tmp_path):
    path = write(pa.table({"a": [1, 2]}), "data.csv")
    assert read_file(path).numbers("a").tolist() == [1, 2]
    assert read_file(str(path)).names == ["a"]


TABLE = {
    "day": [datetime.date(1857, 1, 1)],
    "moment": [datetime.datetime(1857, 1, 1)],
    "pair": [{"a": 1}],
    "price": [decimal.Decimal("0.25")],
    "region": pa.array(["north"]).dictionary_encode(),
    "grade": pa.array([2.5]).dictionary_encode(),
}


def test_kinds_of_columns(write):
    file = read_file(write(pa.table(TABLE), "data.parquet"))
    assert file.numbers("price").tolist() == [0.25] and file.numbers("grade").tolist() == [2.5]
    for name, words in (("day", "dates or times"), ("moment", "dates or times"), ("pair", "values of type struct")):
        with pytest.raises(TypeError, match=f"column '{name}' must hold numbers, but holds {words}"):
            file.numbers(name)
    with pytest.raises(TypeError, match=r"but row 1 of data.parquet has 'north'; correct it, or code categories"):
        file.numbers("region")


def test_column_must_be_one_and_there(write):
    file = read_file(write("a,a,b\n1,2,3\n"))
    assert file.numbers("b").tolist() == [3]
    with pytest.raises(ValueError, match=r"data.csv has 2 columns called 'a'; rename all but one"):
        file.numbers("a")
    with pytest.raises(ValueError, match=r"data.csv has no column 'c'; its columns are 'a', 'a' and 'b'"):
        file.numbers("c")


def test_stray_quotes_and_quoted_lines_are_no_fault(write):
    file = read_file(write('a,b\n1,5" pipe\n2,"two\nlines"\n3,c\n'))
    assert file.numbers("a").tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("2,5", "write it with a decimal point"),
        ("1 234,5", "write it with a decimal point and without other separators, like 1234.5"),
        ("1 m", "'1 m'; correct it"),
        ("1_000", "'1_000'; correct it"),
        ("a" * 50, f"'{'a' * 27}...'"),
    ],
)
def test_word_among_numbers_is_shown(write, word, told):
    with pytest.raises(TypeError) as caught:
        read_file(write(f"a;b\n1;1\n{word};2\n")).numbers("a")
    assert "line 3 of data.csv" in str(caught.value) and told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n \n", "is empty"),
        (b"a,b\n", "has columns but no rows"),
        (b"a,b", "has columns but no rows"),
        (b"a,b\n1,2\n\n1,2,3\n", "line 4 of data.csv has 3 fields, but the header has 2 (separated by ',')"),
        (b"a,b\n1\n", "line 2 of data.csv has 1 field, but the header has 2"),
        (b'a,b\n1,2\n1,"2\n1,2\n3\n', "line 3 of data.csv opens a quote that is never closed"),
        (b'a,b\n"1,2\n3,4\n', "line 2 of data.csv has 1 field, but the header has 2 (separated by ','); one opens"),
        (b'a,"b\n1,2\n', "line 1 of data.csv opens a quote that is not closed"),
        ("é,b\n1,2\n".encode("latin-1"), "not in UTF-8; save the file as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "is text in UTF-16; save it as UTF-8"),
        (b"PK\x03\x04rest", "an Excel workbook; save the sheet as CSV"),
        (b"\x1f\x8brest", "is compressed by gzip; unpack it first"),
        (b"\x7fELF\x00\x01", "is neither text nor Parquet"),
        (b"PAR1 and then it ends", "is no complete Parquet file"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_file_that_is_no_table_is_refused(write, content, told):
    path = write(content)
    with pytest.raises(ValueError) as caught:
        read_file(path)
    assert told in str(caught.value) and "data.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_named_parquet_is_refused(write):
    with pytest.raises(ValueError, match=r"data.parquet is no complete Parquet file"):
        read_file(write("a,b\n1,2\n", "data.parquet"))
    with pytest.raises(ValueError, match=r"data.parquet has columns but no rows"):
        read_file(write(pa.table({"a": pa.array([], pa.float64())}), "data.parquet"))


def test_file_that_cannot_be_opened(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*nothing.csv'"):
        read_file(tmp_path / "nothing.csv")
    with pytest.raises(IsADirectoryError, match=r"is a folder; pass a CSV or Parquet file"):
        read_file(tmp_path)

    read_bytes = Path.read_bytes

    def locked(path):
        if path.name == "locked.csv":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", locked)  # file modes do not stop root
    with pytest.raises(PermissionError, match=r"'.*locked.csv' cannot be read: Permission denied"):
        read_file(tmp_path / "locked.csv")


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_without_pyarrow_one_sentence_says_what_to_install(write, monkeypatch, name):
    path = write("a\n1\n") if name == "data.csv" else write(pa.table({"a": [1]}), name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=rf"reading {name} needs pyarrow: pip install 'mle-jax\[data\]'"):
        read_file(path)
