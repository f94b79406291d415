"""Thrift's compact protocol as a tree, read and written without knowing what its fields mean.

A struct keeps every field with its number and type, in order, so that fields of later versions of a
format survive. Numbers are written in their shortest form; all common writers do the same, so that
an unchanged tree gives the bytes that it was read from.

Source: Thrift compact protocol encoding,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

TRUE: Final = 1
FALSE: Final = 2
I8: Final = 3
I16: Final = 4
I32: Final = 5
I64: Final = 6
DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
SET: Final = 10
MAP: Final = 11
STRUCT: Final = 12
UUID: Final = 13

_FIXED_BYTES: Final = {TRUE: 1, FALSE: 1, I8: 1, DOUBLE: 8, UUID: 16}
"""Types whose elements are kept as raw bytes."""
_LONG_LIST: Final = 15
"""In the upper half of a list's first byte: the length follows."""

Value: TypeAlias = "int | bytes | List | Map | Struct | None"


@dataclass(slots=True)
class List:
    """A list or a set.

    Attributes:
        element_type: Type of its items.
        items: The items.
    """

    element_type: int
    items: list[Value]

    def structs(self) -> Iterator[Struct]:
        """The items of a list of structs."""
        for item in self.items:
            if not isinstance(item, Struct):
                raise ValueError("a list of other items where one of structs must be")
            yield item


@dataclass(slots=True)
class Map:
    """A map.

    Attributes:
        key_type: Type of its keys.
        value_type: Type of its values.
        items: Keys and values.
    """

    key_type: int
    value_type: int
    items: list[tuple[Value, Value]]


@dataclass(slots=True)
class Field:
    """A field of a struct.

    Attributes:
        number: Its number.
        type: Its type.
        value: Its value; None for booleans, whose type is their value.
    """

    number: int
    type: int
    value: Value


@dataclass(slots=True)
class Struct:
    """A struct.

    Attributes:
        fields: Its fields, in the order in which they were read.
    """

    fields: list[Field] = field(default_factory=list)

    def find(self, number: int) -> Field | None:
        """The field of a number, or None."""
        return next((found for found in self.fields if found.number == number), None)

    def integer(self, number: int) -> int:
        """The value of an integer field; 0 if it is not set.

        Raises:
            ValueError: The field holds something else.
        """
        found = self.find(number)
        if found is None:
            return 0
        if not isinstance(found.value, int):
            raise ValueError(f"field {number} holds no integer")
        return found.value

    def text(self, number: int) -> bytes | None:
        """The value of a string or binary field, or None if it is not set.

        Raises:
            ValueError: The field holds something else.
        """
        found = self.find(number)
        if found is None:
            return None
        if found.type != BINARY or not isinstance(found.value, bytes):
            raise ValueError(f"field {number} holds no string")
        return found.value

    def set(self, number: int, kind: int, value: Value) -> None:
        """Replace the value of a field, or add the field in the order of numbers."""
        found = self.find(number)
        if found is not None:
            found.type, found.value = kind, value
            return
        at = sum(other.number < number for other in self.fields)
        self.fields.insert(at, Field(number, kind, value))

    def remove(self, number: int) -> None:
        """Leave the field of a number out."""
        self.fields = [field for field in self.fields if field.number != number]


def read_struct(data: bytes) -> Struct:
    """The struct at the beginning of some bytes.

    Raises:
        ValueError: The bytes are not a struct in the compact protocol.
    """
    # The collector would walk the growing tree again and again: four fifths of the time of a large
    # footer.
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        return _Reader(data).struct()
    except (IndexError, RecursionError) as error:
        raise ValueError("not a struct in Thrift's compact protocol") from error
    finally:
        if was_collecting:
            gc.enable()


def write_struct(struct: Struct) -> bytes:
    """A struct in the compact protocol."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        fields = []
        number = 0
        while byte := self._byte():
            delta, kind = byte >> 4, byte & 15
            number = number + delta if delta else _from_zigzag(self._varint())
            fields.append(Field(number, kind, None if kind <= FALSE else self._value(kind)))
        return Struct(fields)

    def _value(self, kind: int) -> Value:
        if I16 <= kind <= I64:
            return _from_zigzag(self._varint())
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            byte = self._byte()
            length, element_type = byte >> 4, byte & 15
            if length == _LONG_LIST:
                length = self._varint()
            return List(element_type, [self._value(element_type) for _ in range(length)])
        if kind == MAP:
            length = self._varint()
            types = self._byte() if length else 0
            key_type, value_type = types >> 4, types & 15
            items = [(self._value(key_type), self._value(value_type)) for _ in range(length)]
            return Map(key_type, value_type, items)
        if kind not in _FIXED_BYTES:
            raise ValueError(f"{kind} is no kind of Thrift's compact protocol")
        return self._bytes(_FIXED_BYTES[kind])

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _bytes(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise IndexError
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def _varint(self) -> int:
        data, at = self._data, self._at
        byte = data[at]
        at += 1
        value, shift = byte & 127, 7
        while byte & 128:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
        self._at = at
        return value


def _from_zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _write_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for one in struct.fields:
        delta = one.number - before
        if 0 < delta <= 15:
            out.append(delta << 4 | one.type)
        else:
            out.append(one.type)
            _write_varint(out, _zigzag(one.number))
        before = one.number
        if one.type > FALSE:
            _write_value(out, one.type, one.value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Value) -> None:
    match value:
        case int():
            _write_varint(out, _zigzag(value))
        case bytes():
            if kind == BINARY:
                _write_varint(out, len(value))
            out += value
        case Struct():
            _write_struct(out, value)
        case List():
            short = min(len(value.items), _LONG_LIST)
            out.append(short << 4 | value.element_type)
            if short == _LONG_LIST:
                _write_varint(out, len(value.items))
            for item in value.items:
                _write_value(out, value.element_type, item)
        case Map():
            _write_varint(out, len(value.items))
            if value.items:
                out.append(value.key_type << 4 | value.value_type)
            for key, item in value.items:
                _write_value(out, value.key_type, key)
                _write_value(out, value.value_type, item)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
