"""YAML without its traps."""

from __future__ import annotations

import contextlib
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies.strict_yaml import BadYaml, load

BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"


@pytest.mark.rows("F64")
def test_values_are_json_s_and_nothing_becomes_a_date_or_a_truth_by_accident() -> None:
    text = "a: 1\nb: [x, 1.5, true, ~]\nc: yes\nd: 2026-11-20\ne: 1:30\nf: 010\ng: NO\n"
    assert load(text) == {
        "a": 1, "b": ["x", 1.5, True, None], "c": "yes", "d": "2026-11-20", "e": "1:30", "f": "010", "g": "NO",
    }  # fmt: skip
    assert load("") is None
    assert load(b"a: b\n") == {"a": "b"}


@pytest.mark.rows("F64")
@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (BOMB, 1, "anchors"),
        ("a: 1\nb: *a\n", 2, "aliases"),
        ("a: 1\nb: 2\na: 3\n", 3, "given twice"),
        ("a:\n  b: 1\n  b: 2\n", 3, "given twice"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "tag"),
        ("a: !!str 1\n", 1, "tag"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("[" * 30 + "]" * 30, 1, "deeper than 20"),
        ("- " * 30 + "x", 1, "deeper than 20"),
        ("1: x\n", 1, "not text"),
        ("[a]: x\n", 1, "not text"),
        ("a: " + "9" * 5000, 1, "digits"),
        ("a: x\nb: \x07\n", 2, "U+0007"),
        (b"a: x\nb: \xff\n", 2, "UTF-8"),
        ("a: x\nb: \ud800\n", 2, "UTF-8"),
        ("a: 'x\n", 2, "check indentation"),
        ("a: x\nb: c: d\n", 2, "check indentation"),
        ("x" * 300_000, 1, "more than the 256000"),
    ],
)
def test_a_trap_is_refused_with_its_line_and_the_fix(text: str | bytes, line: int, said: str) -> None:
    with pytest.raises(BadYaml, match=f"line {line}: ") as refused:
        load(text)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 300


def test_the_plain_loader_falls_into_the_traps_that_this_one_refuses() -> None:
    assert yaml.safe_load("a: 1\na: 2\n") == {"a": 2}
    assert len(str(yaml.safe_load(BOMB))) > len(BOMB)


#: Without the line breaks of other alphabets: PyYAML folds them, and no spec may hold them.
texts = st.text(st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_what_the_dumper_writes_comes_back_equal(value: object) -> None:
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    assert load(yaml.dump(value, Dumper=Plain, allow_unicode=True)) == value


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_a_value_or_a_refusal(text: str | bytes) -> None:
    value: object = None
    with contextlib.suppress(BadYaml):
        value = load(text)
    assert _is_plain(value)


def _is_plain(value: object) -> bool:
    """Nothing but what JSON knows: no date, no set, no bytes, no object of Python's."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


@pytest.mark.parametrize("shape", ["x", "x ", "[", "- ", "? ", ":", "9", "&", "!", "#", '"', "{a: ", "a,", ":1"])
def test_time_grows_no_faster_than_the_text(shape: str) -> None:
    def seconds(count: int) -> float:
        started = time.perf_counter()
        for prefix in ("a: ", ""):
            with contextlib.suppress(BadYaml):
                load(prefix + shape * count, max_bytes=10_000_000)
        return time.perf_counter() - started

    small, large = min(seconds(4_000), seconds(4_000)), min(seconds(32_000), seconds(32_000))
    assert large < 8 * 4 * small + 0.3


def test_a_line_of_a_megabyte_is_refused_at_once() -> None:
    started = time.perf_counter()
    with pytest.raises(BadYaml, match="make it shorter"):
        load("a: " + "x" * 1_000_000)
    assert time.perf_counter() - started < 0.5
