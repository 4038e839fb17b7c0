from __future__ import annotations

import itertools
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evrun import InvalidRequestError
from evrun._batching import Chunker, Entry, halves, key_of, waves

SIZES = st.lists(st.integers(0, 50), max_size=40)


def entry(index: int, datapoint: str = "d", evaluatee: str | None = None) -> Entry:
    item = {"datapoint_id": datapoint, "log": {}}
    if evaluatee is not None:
        item["evaluatee_id"] = evaluatee
    return Entry(index=index, key=str(index), item=item, size=1)


def chunks(sizes: list[int], most: int, most_bytes: int) -> list[list[int]]:
    """Return the places of what goes together."""
    chunker: Chunker[int] = Chunker(most, most_bytes)
    gathered = [each for n, size in enumerate(sizes) for each in chunker.add(n, size)]
    return [*gathered, chunker.rest()]


@given(SIZES, st.integers(1, 7), st.integers(1, 60))
def test_everything_goes_once_and_in_order(sizes: list[int], most: int, most_bytes: int) -> None:
    """Whatever the limits are."""
    places = [place for chunk in chunks(sizes, most, most_bytes) for place in chunk]
    assert places == list(range(len(sizes)))


@given(SIZES, st.integers(1, 7), st.integers(1, 60))
def test_a_chunk_keeps_both_limits(sizes: list[int], most: int, most_bytes: int) -> None:
    """But for one that is too large by itself, which goes alone."""
    for chunk in chunks(sizes, most, most_bytes):
        assert len(chunk) <= most
        assert len(chunk) <= 1 or sum(sizes[place] for place in chunk) <= most_bytes


@given(SIZES, st.integers(1, 7), st.integers(1, 60))
def test_no_chunk_is_smaller_than_it_must_be(sizes: list[int], most: int, most_bytes: int) -> None:
    """What comes next would not have fitted, and nothing is empty but the end."""
    split = chunks(sizes, most, most_bytes)
    assert all(split[:-1])
    for chunk, following in itertools.pairwise(split):
        size = sum(sizes[place] for place in chunk)
        assert len(chunk) == most or size >= most_bytes or size + sizes[following[0]] > most_bytes


def test_the_limit_can_be_lowered_on_the_way() -> None:
    """A server that takes less than was thought is sent less from then on."""
    chunker: Chunker[int] = Chunker(10, 100)
    assert chunker.add(0, 40) == []
    chunker.most_bytes = 50
    assert chunker.add(1, 40) == [[0]]
    assert chunker.rest() == [1]


@given(st.integers(2, 9))
def test_halves_are_parts_of_the_whole(number: int) -> None:
    """In order, and neither is empty."""
    entries = [entry(n) for n in range(number)]
    first, second = halves(entries)
    assert [*first, *second] == entries
    assert first
    assert second


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["evv_1", None])), max_size=20))
def test_logs_for_one_target_never_travel_at_the_same_time(
    targets: list[tuple[str, str | None]],
) -> None:
    """The later one must arrive later, because it counts; all the others may overtake."""
    entries = [entry(n, *target) for n, target in enumerate(targets)]
    split = list(waves(entries))
    assert [each for wave in split for each in wave] == entries
    inside = [[each.target for each in wave] for wave in split]
    assert all(len(set(wave)) == len(wave) > 0 for wave in inside)
    assert all(following[0] in wave for wave, following in itertools.pairwise(inside))


def test_a_key_is_made_once_if_none_is_given() -> None:
    """A random one; a given one stays what it is."""
    made = {key_of(None, "k") for _ in range(100)}
    assert len(made) == 100
    assert all(uuid.UUID(key) for key in made)
    assert key_of("nightly-17", "k") == "nightly-17"


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256, "a\n", 7])
def test_what_no_header_could_carry_is_no_key(key: object) -> None:
    """It would mean something else in a single call."""
    with pytest.raises(InvalidRequestError, match=r"^items\[3\]\.key: .*visible ASCII") as caught:
        key_of(key, "items[3].key")
    assert caught.value.parameter == "items[3].key"
