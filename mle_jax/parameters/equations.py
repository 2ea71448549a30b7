"""Read constraints: strings such as ``w[income] + 2*w[age] = 1``, each one linear equation in parameters and numbers.

equation = side "=" side,   side = sign? term (sign term)*,   term = factor (("*" | "/") factor)*

A factor is a number or the name of a parameter as the library shows it. Names are found by comparing with those that
exist, the longest first, because labels of columns may contain anything: ``w[C(region)[T.north] = 1]``. Numbers are
kept as exact fractions, so that redundant and contradictory equations are told apart without a tolerance.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from mle_jax.parameters.layout import unknown_text

if TYPE_CHECKING:
    from mle_jax.parameters.space import ParameterSpace

NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
WORD = re.compile(r"[^\W\d][\w.]*(\[[^\]]*\])?")
HIGHER = ("^", "**", "(", ")")
EXAMPLE = "such as 'w[0] + 2*w[1] = 1'"
LONGEST = 1000  # decimal places of a number; a longer one is no number that float64 knows


class Equation(NamedTuple):
    """One equation, sum over names of coefficient * name = constant."""

    text: str
    coefficients: dict[str, Fraction]  # names of leaves or entries; none is 0
    constant: Fraction


class Token(NamedTuple):
    """A piece of an equation."""

    kind: str  # "name", "number" or the operator itself
    text: str


def read_equations(space: "ParameterSpace", constraints: Any) -> tuple[Equation, ...]:
    """Read a sequence of constraints, or a single one.

    Raises:
        TypeError: not strings.
        ValueError: not a linear equation in numbers and parameters of the space.
    """
    texts = constraint_texts(constraints)
    numeric = [name for name in space.leaf_names if NUMBER.fullmatch(name)]
    if texts and numeric:
        raise ValueError(
            f"constraints name parameters, but here '{numeric[0]}' is the name of one and a number; declare the "
            "parameters in a dict to give them names"
        )
    return tuple(_equation(space, text) for text in texts)


def constraint_texts(constraints: Any) -> tuple[str, ...]:
    """Return the constraints as the user wrote them, blanks brought to one."""
    given = () if constraints is None else (constraints,) if isinstance(constraints, str) else constraints
    if not isinstance(given, Sequence) or not all(isinstance(text, str) for text in given):
        raise TypeError(
            f"constraints is {constraints!r}, but must be a sequence of strings, each one linear equation; write "
            "constraints=('w[0] = w[1]', 'w[0] + 2*w[2] = 1')"
        )
    return tuple(" ".join(text.split()) for text in given)


def _equation(space: "ParameterSpace", text: str) -> Equation:
    tokens = _tokens(space, text)
    signs = [i for i, token in enumerate(tokens) if token.kind == "="]
    if len(signs) != 1:
        raise _fault(text, f"has {len(signs) or 'no'} '=' sign{'s' if len(signs) > 1 else ''}", "needs exactly one")
    total: dict[str, Fraction] = {}
    for sign, side in ((1, tokens[: signs[0]]), (-1, tokens[signs[0] + 1 :])):
        for name, factor in _side(side, text):
            total[name] = total.get(name, Fraction(0)) + sign * factor
    constant = -total.pop("", Fraction(0))
    if not total:
        raise _fault(text, "names no parameter", "is an equation between parameters")
    return Equation(text, {name: factor for name, factor in total.items() if factor}, constant)


def _side(tokens: list[Token], text: str) -> list[tuple[str, Fraction]]:
    """Read one side as terms (name, coefficient); the name of a number alone is empty."""
    if not tokens:
        raise _fault(text, "has nothing on one side of '='", "is an equation; write 0 there")
    terms, at = [], 0
    while at < len(tokens):
        sign = 1
        if tokens[at].kind in "+-":
            sign = -1 if tokens[at].kind == "-" else 1
            at += 1
        elif at:
            before, here = tokens[at - 1].text, tokens[at].text
            raise _fault(text, f"has no operator between '{before}' and '{here}'", f"write '{before}*{here}' or '+'")
        name, factor, at = _term(tokens, at, text)
        terms.append((name, sign * factor))
    return terms


def _term(tokens: list[Token], at: int, text: str) -> tuple[str, Fraction, int]:
    """Read a product of numbers and at most one name; return the position after it, too."""
    name, factor, operator = "", Fraction(1), "*"
    while True:
        if at == len(tokens) or tokens[at].kind not in ("name", "number"):
            found = f"'{tokens[at].text}'" if at < len(tokens) else "the end of a side"
            raise _fault(text, f"has {found} where a number or a parameter should stand", EXAMPLE)
        token = tokens[at]
        if token.kind == "number":
            value = Fraction(token.text)
            if operator == "/" and not value:
                raise _fault(text, "divides by 0", "must hold finite numbers")
            factor = factor / value if operator == "/" else factor * value
        elif name or operator == "/":
            what = f"divides by '{token.text}'" if operator == "/" else f"multiplies '{name}' by '{token.text}'"
            raise _nonlinear(text, what)
        else:
            name = token.text
        at += 1
        if at == len(tokens) or tokens[at].kind not in "*/":
            return name, factor, at
        operator = tokens[at].kind
        at += 1


def _tokens(space: "ParameterSpace", text: str) -> list[Token]:
    names = sorted({*space.leaf_names, *space.names}, key=len, reverse=True)
    found: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        name = next((name for name in names if text.startswith(name, at) and _ends(text, at + len(name))), None)
        token = Token("name", name) if name is not None else _other_token(space, names, text, at)
        found.append(token)
        at += len(name) if name is not None else len(_spelled(text, at, token))
    return found


def _other_token(space: "ParameterSpace", names: list[str], text: str, at: int) -> Token:
    """Read what is not a name as it stands: a number, an operator, a name with blanks in its brackets."""
    if number := NUMBER.match(text, at):
        digits, exponent = number.group(), (number.group(2) or "e0")[1:]
        if len(digits) > LONGEST or abs(int(exponent)) > LONGEST:
            raise _fault(text, f"holds the number {digits[:40]}", "must hold numbers that float64 can hold")
        return Token("number", digits)
    if higher := next((sign for sign in HIGHER if text.startswith(sign, at)), None):
        raise _nonlinear(text, f"holds '{higher}'")
    if text.startswith(("<", ">", "!", "=="), at):
        sign = text[at : at + 2].strip() if text[at + 1 : at + 2] == "=" else text[at]
        remedy = "write a single '='; bounds belong into the declaration, as in Positive() or Interval(low, high)"
        raise _fault(text, f"holds '{sign}'", f"is an equation; {remedy}")
    if text[at] in "+-*/=":
        return Token(text[at], text[at])
    word = WORD.match(text, at)
    if word is None:
        raise _fault(text, f"holds '{text[at]}'", f"consists of parameters, numbers, + - * / and =, {EXAMPLE}")
    if text[word.end() :].lstrip().startswith("("):
        raise _nonlinear(text, f"calls {word.group()}(...)")
    if word.group().replace(" ", "") in names:
        return Token("name", word.group().replace(" ", ""))
    raise ValueError(unknown_text(space, [word.group()], f"constraint '{text}'"))


def _spelled(text: str, at: int, token: Token) -> str:
    """Return the piece of the text that a token was read from, which may hold more blanks."""
    word = WORD.match(text, at) if token.kind == "name" else None
    return word.group() if word else token.text


def _ends(text: str, at: int) -> bool:
    """Say whether a name that reaches up to here ends here."""
    return at >= len(text) or not (text[at].isalnum() or text[at] in "_.[")


def _fault(text: str, found: str, allowed: str) -> ValueError:
    rule = allowed if allowed.startswith(("write", "such as")) else f"a constraint {allowed}"
    rule = f"write one linear equation, {allowed}" if allowed.startswith("such as") else rule
    return ValueError(f"constraint '{text}' {found}; {rule}")


def _nonlinear(text: str, what: str) -> ValueError:
    return ValueError(
        f"constraint '{text}' {what}, but a constraint is one linear equation in parameters and numbers, {EXAMPLE}; "
        "for anything else write the log density in the free quantities"
    )
