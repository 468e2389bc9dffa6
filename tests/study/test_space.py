from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.study.space import Choice, Float, Int, comparisons, holds, in_order, is_reachable, points, same

LETTERS = "abcdef"


@st.composite
def conditional_spaces(draw):
    """Spaces in which each name may depend on earlier letters, in any order of the file."""
    space = {}
    for index, name in enumerate(LETTERS):
        parents = draw(st.sets(st.sampled_from(LETTERS[:index]), max_size=3)) if index else ()
        space[name] = Choice(values=(1, 2), when=dict.fromkeys(sorted(parents), (1,)))
    return {name: space[name] for name in draw(st.permutations(LETTERS))}


@given(conditional_spaces())
def test_parents_come_first(space):
    ordered = list(in_order(space))
    assert sorted(ordered) == sorted(space)
    for name in space:
        assert all(ordered.index(parent) < ordered.index(name) for parent in space[name].when)


@given(st.permutations(LETTERS))
def test_file_order_without_conditions(names):
    assert list(in_order({name: Int(low=1, high=2) for name in names})) == list(names)


@given(st.integers(1, 4), st.permutations(LETTERS))
def test_cycle_names_its_members(length, names):
    circle, others = names[:length], names[length:]
    space = {name: Int(low=1, high=2, when={parent: (1,)}) for name, parent in itertools.pairwise([*circle, circle[0]])}
    space |= {name: Int(low=1, high=2, when={circle[0]: (1,)}) for name in others}
    with pytest.raises(ValueError, match="in a cycle") as caught:
        list(in_order(space))
    named = str(caught.value).removeprefix("the conditions of ").partition(" depend")[0].split(", ")
    assert sorted(named) == sorted(circle)


def test_condition_needs_all_parents():
    when = {"a": (1, 2), "b": ("x",)}
    assert holds(when, {"a": 2, "b": "x"})
    assert not holds(when, {"a": 2, "b": "y"})
    assert not holds(when, {"b": "x"})  # a parent that does not exist itself
    assert holds({}, {})


@pytest.mark.parametrize(
    ("range_", "inside", "outside"),
    [
        (">= 2", [2, 2.0, 3.5], [1.9, "2", ">= 3", True]),
        ("> 2", [2.1], [2]),
        ("<1e-2", [0.001, -5], [0.01]),
        ("<= .5", [0.5], [0.51]),
        ("> 1, <= 4", [4, 1.5], [1, 5]),
    ],
)
def test_a_range_holds_for_numbers(range_, inside, outside):
    assert all(holds({"a": range_}, {"a": value}) for value in inside)
    assert not any(holds({"a": range_}, {"a": value}) for value in outside)
    assert holds({"a": ["x", range_]}, {"a": inside[0]})
    assert not holds({"a": range_}, {})


def test_a_text_like_a_range_is_itself_too():
    assert holds({"a": ">= 2"}, {"a": ">= 2"})
    assert not holds({"a": ">= two"}, {"a": 2})


BOUNDS = st.integers(-12, 12) | st.sampled_from([0.5, -3.5, "1e999", "-1e999"])


@given(st.integers(-9, 9), st.integers(0, 5), st.integers(1, 3), st.lists(BOUNDS, min_size=1, max_size=2), st.data())
def test_a_range_is_reachable_by_a_value(low, count, step, bounds, data):
    text = ",".join(f"{data.draw(st.sampled_from(['<', '<=', '>', '>=']))} {bound}" for bound in bounds)
    limits = comparisons(text)
    whole = Int(low, low + count * step, step=step)
    some = any(holds({"a": text}, {"a": value}) for value in points(whole))
    assert is_reachable(whole, limits) == is_reachable(Choice(points(whole)), limits) == some
    assert is_reachable(Float(float(low), float(low + count * step)), limits) or not some


def test_true_is_not_one():
    assert not same(True, (1, 0))
    assert not same(1, (True, False))
    assert same(1, (1.0,))
    assert same(False, (True, False))


@pytest.mark.parametrize(
    ("dimension", "text"),
    [
        (Float(low=1e-4, high=0.1, log=True), "float 0.0001 .. 0.1 log"),
        (Float(low=0.0, high=1.0, step=0.25), "float 0.0 .. 1.0 step 0.25"),
        (Int(low=1, high=5, when={"b": (True,), "a": ("x", 1)}), 'int 1 .. 5 when a is "x" or 1 and b is true'),
        (Choice(values=("1", 1, 1.0, True)), 'choice "1", 1, 1.0, true'),
    ],
)
def test_a_dimension_reads_as_people_say_it(dimension, text):
    assert str(dimension) == text


@given(
    st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_last_bit_changes_the_text(first, second):
    texts = [str(Float(low=low, high=high)) for low, high in (first, second)]
    assert (texts[0] == texts[1]) == (repr(first) == repr(second))


def test_condition_text_ignores_order():
    there = Int(low=1, high=2, when={"a": (1, 2), "b": (3,)})
    back = Int(low=1, high=2, when={"b": (3,), "a": (2, 1)})
    assert str(there) == str(back)
