from __future__ import annotations

import itertools
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evrun import InvalidRequestError
from evrun._bulk.chunks import Chunker, Entry, halves, key_of, waves

SIZES = st.lists(st.integers(0, 50), max_size=40)


def entry(index: int, datapoint: str = "d", evaluatee: str | None = None) -> Entry:
    item = {"datapoint_id": datapoint, "log": {}}
    if evaluatee is not None:
        item["evaluatee_id"] = evaluatee
    return Entry(index=index, key=str(index), item=item, size=1)


def chunks(sizes: list[int], most: int, most_bytes: int) -> list[list[int]]:
    """Return the places of what goes together."""
    chunker: Chunker[int] = Chunker(most, most_bytes, 1)
    for n, size in enumerate(sizes):
        chunker.add(n, size, now=0)
    return taken(chunker, now=1)


def taken(chunker: Chunker[int], now: float) -> list[list[int]]:
    """Return what must leave at a moment."""
    chunks = []
    while chunker.due(now) == 0:
        chunks.append(chunker.take())
    return chunks


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
    """What comes next would not have fitted, and nothing is empty."""
    split = chunks(sizes, most, most_bytes)
    assert all(split)
    for chunk, following in itertools.pairwise(split):
        size = sum(sizes[place] for place in chunk)
        assert len(chunk) == most or size >= most_bytes or size + sizes[following[0]] > most_bytes


def test_the_limit_can_be_lowered_on_the_way() -> None:
    """A server that takes less than was thought is sent less from then on."""
    chunker: Chunker[int] = Chunker(10, 100, 1)
    chunker.add(0, 40, now=0)
    chunker.most_bytes = 50
    chunker.add(1, 40, now=0)
    assert taken(chunker, now=0) == [[0]]
    assert taken(chunker, now=1) == [[1]]


def test_a_chunk_leaves_when_its_oldest_is_old() -> None:
    """However few they are: the age is that of the first one, and the next chunk has its own."""
    chunker: Chunker[int] = Chunker(3, 100, 1.0)
    assert chunker.due(0.0) is None
    chunker.add(0, 1, now=5.0)
    chunker.add(1, 1, now=5.75)
    assert chunker.due(5.75) == 0.25
    assert taken(chunker, now=6.5) == [[0, 1]]
    assert chunker.due(7.0) is None
    for n in range(2, 6):
        chunker.add(n, 1, now=float(n + 6))
    assert chunker.complete
    assert taken(chunker, now=11.0) == [[2, 3, 4]]
    assert not chunker.complete
    assert chunker.due(11.0) == 1.0
    chunker.flush()
    assert chunker.due(11.0) == 0


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
