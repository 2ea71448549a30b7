"""One function per format: a displayed table in, a text out. A new format is one more function here."""

import html
import re
from typing import NamedTuple

from mle_jax._text import grid


class Display(NamedTuple):
    """A table ready to be written: everything is text already."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int]
    """Positions of the columns aligned on the left; the others hold numbers."""
    notes: tuple[str, ...]


def plain_text(display: Display) -> str:
    """Write an aligned table for a terminal: title, grid, notes."""
    body = grid(display.headers, display.rows, left=display.left)
    return "\n".join(part for part in (display.title, body, *display.notes) if part)


def markdown(display: Display) -> str:
    """Write a pipe table as GitHub and most notebooks read it."""

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(re.sub(r"([\\|*<`])", r"\\\1", cell) for cell in cells) + " |"

    rule = "| " + " | ".join(":--" if i in display.left else "--:" for i in range(len(display.headers))) + " |"
    table = "\n".join([line(display.headers), rule, *(line(row) for row in display.rows)])
    # Paragraphs: without blank lines Markdown would read title and notes as rows.
    return "\n\n".join(
        part for part in (f"**{display.title}**" if display.title else "", table, *display.notes) if part
    )


def latex(display: Display) -> str:
    r"""Write a ``tabular`` with booktabs rules; a title or notes wrap it in a ``table``.

    The document needs ``\usepackage{booktabs}``.
    """

    def line(cells: tuple[str, ...]) -> str:
        return " & ".join(
            _latex_text(cell) if i in display.left else _latex_number(cell) for i, cell in enumerate(cells)
        )

    columns = "".join("l" if i in display.left else "r" for i in range(len(display.headers)))
    header = " & ".join(_latex_text(cell) for cell in display.headers)
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", f"{header} \\\\", "\\midrule"]
    lines += [f"{line(row)} \\\\" for row in display.rows]
    lines += ["\\bottomrule", "\\end{tabular}"]
    if not (display.title or display.notes):
        return "\n".join(lines)
    caption = [f"\\caption{{{_latex_text(display.title)}}}"] if display.title else []
    notes = [f"\\par\\footnotesize {_latex_text(note)}" for note in display.notes]
    return "\n".join(["\\begin{table}", "\\centering", *caption, *lines, *notes, "\\end{table}"])


def html_table(display: Display) -> str:
    """Write an HTML table with everything escaped."""

    def cell(tag: str, position: int, text: str) -> str:
        side = "left" if position in display.left else "right"
        return f'<{tag} style="text-align: {side}">{html.escape(text)}</{tag}>'

    def line(tag: str, cells: tuple[str, ...]) -> str:
        return "<tr>" + "".join(cell(tag, i, text) for i, text in enumerate(cells)) + "</tr>"

    caption = [f"<caption>{html.escape(display.title)}</caption>"] if display.title else []
    head = ["<thead>", line("th", display.headers), "</thead>"]
    body = ["<tbody>", *(line("td", row) for row in display.rows), "</tbody>"]
    notes = [f"<p>{html.escape(note)}</p>" for note in display.notes]
    return "\n".join(["<table>", *caption, *head, *body, "</table>", *notes])


_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # a bare bracket at the start of a row would be read as the option of the line break before it
    "]": "{]}",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def _latex_text(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


def _latex_number(text: str) -> str:
    """Set the minus sign of a number as a minus, not as a hyphen."""
    return f"${text}$" if text[:1] == "-" and len(text) > 1 else _latex_text(text)
