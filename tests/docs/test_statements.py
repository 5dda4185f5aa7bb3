"""The statements of the pages for those who come from elsewhere: names and keywords exist."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pages import DOCS

import somaflow as sf

PAGES = [
    DOCS / "howto" / f"{name}.md"
    for name in ("coming-from-brian2", "coming-from-nest-and-pynn", "coming-from-neuron")
]
ROW = re.compile(r"^\|(?!-)(.*)\|$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
NAME = re.compile(r"\bsf((?:\.\w+)+)")
KEYWORD = re.compile(r"(?<![\w.\]])([A-Za-z_]\w*)=(?!=)")
LOADED = re.compile(r'sf\.load\("(\w+)"\)')
# What the equations themselves name: parameters and states.
OF_EQUATIONS = {"C", "R", "g", "v", "tau", "na", "k", "leak"}


def ours() -> Iterator[Any]:
    """Every code span in the last cell of a row, with its page."""
    for page in PAGES:
        for row in ROW.findall(page.read_text(encoding="utf-8")):
            for span in SPAN.findall(row.rpartition(" | ")[2]):
                yield pytest.param(span, id=f"{page.stem}: {span}")


def found(path: str) -> Any:
    """Return what `sf.a.b` is, of the path `.a.b`."""
    value: Any = sf
    for part in path.split(".")[1:]:
        value = getattr(value, part)
    return value


def own(span: str, start: int) -> str:
    """Return the arguments of a call that begins at a bracket, without texts and calls in them."""
    text = re.sub(r'"[^"]*"', lambda match: "_" * len(match[0]), span)
    depth, kept = 0, ""
    for sign in text[start:]:
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            break
        kept += sign if depth == 1 else ""
    return kept


def keywords(taker: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(taker).parameters)


def everywhere() -> set[str]:
    """Return every keyword that something public takes."""
    names = OF_EQUATIONS.copy()
    for name in sf.__all__:
        if callable(value := getattr(sf, name)):
            names |= set(keywords(value))
    return names


ALL = everywhere()


@pytest.mark.parametrize("span", list(ours()))
def test_what_the_right_hand_side_of_a_statement_names_exists(span: str) -> None:
    for match in NAME.finditer(span):
        value = found(match[1])
        if span[match.end() : match.end() + 1] == "(":
            taken = keywords(value)
            if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values()):
                continue
            assert set(KEYWORD.findall(own(span, match.end()))) <= set(taken), match[0]
    for name in LOADED.findall(span):
        sf.load(name)
    without_texts = re.sub(r'"[^"]*"', "", span)
    assert set(KEYWORD.findall(without_texts)) <= ALL


def test_a_name_or_a_keyword_that_is_none_is_noticed() -> None:
    for span in (
        "sf.NoSuchName(1)",
        "sf.Between(2.5*ms, evry=1)",
        "nosuch=1",
        "sf.AllToAll(p=0.1)",
    ):
        with pytest.raises((AssertionError, AttributeError)):
            test_what_the_right_hand_side_of_a_statement_names_exists(span)
