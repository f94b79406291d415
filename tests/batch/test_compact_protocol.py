from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.batch.parquet_footer.compact_protocol import (
    BINARY,
    DOUBLE,
    FALSE,
    I8,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    SET,
    STRUCT,
    TRUE,
    UUID,
    Field,
    List,
    Map,
    Struct,
    read_struct,
    write_struct,
)

SCALARS = {
    TRUE: st.none(),
    FALSE: st.none(),
    I8: st.binary(min_size=1, max_size=1),
    I16: st.integers(-(2**15), 2**15 - 1),
    I32: st.integers(-(2**31), 2**31 - 1),
    I64: st.integers(-(2**63), 2**63 - 1),
    DOUBLE: st.binary(min_size=8, max_size=8),
    BINARY: st.binary(max_size=300),
    UUID: st.binary(min_size=16, max_size=16),
}
# In a list or a map, a truth value takes a byte of its own.
ELEMENTS = {
    kind: st.binary(min_size=1, max_size=1) if kind in (TRUE, FALSE) else values
    for kind, values in SCALARS.items()
}


def lists(kind: int, values: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(List, st.just(kind), st.lists(values, max_size=40))


def structs(values: st.SearchStrategy) -> st.SearchStrategy:
    """Structs with fields (number, kind, value), whose numbers may stand in any order."""
    fields = st.tuples(st.integers(1, 2_000), values).map(lambda f: Field(f[0], *f[1]))
    return st.lists(fields, max_size=6).map(Struct)


def pairs(kinds: dict[int, st.SearchStrategy]) -> st.SearchStrategy:
    return st.one_of([st.tuples(st.just(kind), values) for kind, values in kinds.items()])


def containers(inner: st.SearchStrategy) -> st.SearchStrategy:
    inner_structs = structs(inner)
    return st.one_of(
        st.tuples(st.just(STRUCT), inner_structs),
        st.tuples(st.sampled_from([LIST, SET]), lists(STRUCT, inner_structs)),
        *[
            st.tuples(st.sampled_from([LIST, SET]), lists(kind, values))
            for kind, values in ELEMENTS.items()
        ],
        st.tuples(
            st.just(MAP),
            st.builds(
                Map,
                st.just(BINARY),
                st.just(STRUCT),
                st.lists(st.tuples(ELEMENTS[BINARY], inner_structs), min_size=1, max_size=3),
            ),
        ),
        st.just((MAP, Map(0, 0, []))),
    )


@given(structs(st.recursive(pairs(SCALARS), containers, max_leaves=8)))
def test_what_was_written_is_read(struct: Struct) -> None:
    content = write_struct(struct)
    assert read_struct(content) == struct
    assert write_struct(read_struct(content)) == content


def test_the_encoding_of_the_specification() -> None:
    # Short and long field headers, zigzag integers, a list of 16 whose length follows its header.
    struct = Struct(
        [
            Field(1, I32, -3),
            Field(2, TRUE, None),
            Field(100, BINARY, b"ab"),
            Field(101, LIST, List(I16, [1] * 16)),
        ]
    )
    assert write_struct(struct) == (
        b"\x15\x05\x11\x08\xc8\x01\x02ab\x19\xf4\x10" + b"\x02" * 16 + b"\x00"
    )


@given(st.binary(max_size=60))
def test_other_bytes_are_refused(content: bytes) -> None:
    # Nothing but ValueError, which `readable` turns into an error that names the file.
    with suppress(ValueError):
        read_struct(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x15", b"\x18\xff\xff\xff\xff\x0f", b"\x1e\x00", b"\x1c" * 100_000],
    ids=["empty", "cut", "longer than the rest", "no such type", "deep"],
)
def test_damaged_structs(content: bytes) -> None:
    with pytest.raises(ValueError, match="compact protocol"):
        read_struct(content)


def test_fields_are_set_in_order_of_their_numbers() -> None:
    struct = Struct([Field(1, I32, 1), Field(5, I32, 5)])
    struct.set(3, BINARY, b"new")
    struct.set(5, I64, 6)
    assert struct.fields == [Field(1, I32, 1), Field(3, BINARY, b"new"), Field(5, I64, 6)]
    assert (struct.integer(5), struct.integer(7), struct.text(3), struct.text(7)) == (
        6, 0, b"new", None,
    )  # fmt: skip
    with pytest.raises(ValueError, match="field 3 holds no integer"):
        struct.integer(3)
    with pytest.raises(ValueError, match="field 1 holds no string"):
        struct.text(1)
