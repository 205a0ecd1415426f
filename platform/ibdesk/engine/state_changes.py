"""Changes of a strategy's state: the compact difference between two states of plain data, and its application.

A change is a list of its kind and its path (keys and indices): ``["set", path, value]`` sets a value,
``["drop", path]`` removes a key, ``["splice", path, start, count, values]`` replaces `count` elements of a list by
values. The law of this module: the changes between two states, applied to the first, give the second, byte for byte in
msgpack, including the order of keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

Change = list[Any]

encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(dict[str, Any]).decode

# The largest shift of a list that is detected: bars that arrive together in a window of fixed length.
_LONGEST_SHIFT = 16
# At most this number of differing elements, or this part of a long list, is written one by one.
_FEW, _PART = 16, 8
# The approximate bytes of a path and the name of a change.
_OVERHEAD = 24


class KeptState:
    """A strategy's last good state: encoded, and as plain data once it was read, which is never changed."""

    __slots__ = ("_encoded", "_plain")

    def __init__(self, state: dict[str, Any]) -> None:
        self._encoded = encode_state(state)
        self._plain: dict[str, Any] | None = None

    def copy(self) -> dict[str, Any]:
        """Return a copy of the state as plain data."""
        return decode_state(self._encoded)

    def keep(self, state: dict[str, Any]) -> list[Change]:
        """Store another state; return the changes.

        Raises:
            TypeError, ValueError, OverflowError, RecursionError: If it is not plain data; then nothing changes.
        """
        encoded = encode_state(state)
        if encoded == self._encoded:
            return []
        # Keys must be text, which only decoding checks.
        after = decode_state(encoded)
        before = self.copy() if self._plain is None else self._plain
        self._encoded, self._plain = encoded, after
        return changes_between(before, after)


def changes_between(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Return the changes from one state to another, both decoded by `decode_state`."""
    found: list[Change] = []
    _compare_dicts(before, after, [], found)
    return found


def apply_changes(state: dict[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """Change a state in place and return it.

    Raises:
        ValueError: If the changes do not fit this state.
    """
    root = [state]
    for change in changes:
        try:
            _apply(root, change)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{change[:2]} is not a change of this state: {error!r}") from None
    return root[0]


def _apply(root: list[Any], change: Change) -> None:
    what, path = change[0], [0, *change[1]]
    place: Any = root
    for key in path[:-1]:
        place = place[key]
    match what:
        case "set":
            place[path[-1]] = change[2]
        case "drop":
            del place[path[-1]]
        case "splice":
            start, count, values = change[2:]
            place[path[-1]][start : start + count] = values
        case _:
            raise ValueError(what)


def _compare(before: Any, after: Any, path: list[Any], found: list[Change]) -> None:
    if before.__class__ is dict and after.__class__ is dict:
        _compare_dicts(before, after, path, found)
    elif before.__class__ is list and after.__class__ is list:
        _compare_lists(before, after, path, found)
    elif not _is_same(before, after):
        found.append(["set", path, after])


def _compare_dicts(before: dict[Any, Any], after: dict[Any, Any], path: list[Any], found: list[Change]) -> None:
    changes: list[Change] = []
    if list(before) != list(after):
        kept = [key for key in before if key in after]
        if list(after)[: len(kept)] != kept:
            # A change cannot express the position of a key among others.
            found.append(["set", path, after])
            return
        changes += [["drop", [*path, key]] for key in before if key not in after]
    for key, value in after.items():
        if key in before:
            _compare(before[key], value, [*path, key], changes)
        else:
            changes.append(["set", [*path, key], value])
    found += _shorter(changes, after, path)


def _compare_lists(before: list[Any], after: list[Any], path: list[Any], found: list[Change]) -> None:
    if _is_same(before, after):
        return
    moved = _shift(before, after)
    if moved is not None:
        found += _moved_by(moved, before, after, path)
        return
    if len(before) == len(after):
        differing = _differing(before, after)
        if len(differing) > max(_FEW, len(before) // _PART):
            found.append(["set", path, after])
            return
        first, last = differing[0], differing[-1] + 1
        splice = ["splice", path, first, last - first, after[first:last]]
        changes: list[Change] = []
        for index in differing:
            _compare(before[index], after[index], [*path, index], changes)
        found += changes if _cost(changes) <= _cost([splice]) else [splice]
        return
    shorter = min(len(before), len(after))
    head = _common(shorter, lambda n: _is_same(before[:n], after[:n]))
    tail = _common(shorter - head, lambda n: _is_same(before[len(before) - n :], after[len(after) - n :]))
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    found += _shorter([["splice", path, head, len(old), new]], after, path)


def _moved_by(count: int, before: list[Any], after: list[Any], path: list[Any]) -> list[Change]:
    """Return the changes that remove `count` elements from the front of a list and append the new ones."""
    kept = len(before) - count
    added = after[kept:]
    changes: list[Change] = [["splice", path, 0, count, []]]
    if added:
        changes.append(["splice", path, kept, 0, added])
    return changes


def _shift(before: list[Any], after: list[Any]) -> int | None:
    """Return by how many elements a list has moved forward, like a window; None if it has not."""
    if not after:
        return None
    for count in range(1, min(_LONGEST_SHIFT, len(before) - 1) + 1):
        kept = len(before) - count
        if kept <= len(after) and _is_same(before[count], after[0]) and _is_same(before[count:], after[:kept]):
            return count
    return None


def _common(most: int, is_common: Any) -> int:
    """Return the greatest number for which `is_common` is true; it must be false for all greater ones."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if is_common(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _differing(old: list[Any], new: list[Any]) -> list[int]:
    """Return the indices at which two lists of equal length differ, by bisection; it may stop after the maximum."""
    found: list[int] = []
    parts = [(0, len(old))]
    enough = max(_FEW, len(old) // _PART)
    while parts and len(found) <= enough:
        low, high = parts.pop()
        if _is_same(old[low:high], new[low:high]):
            continue
        if high - low == 1:
            found.append(low)
        else:
            middle = (low + high) // 2
            parts += [(middle, high), (low, middle)]
    return found


def _is_same(before: Any, after: Any) -> bool:
    # By bytes: 1, 1.0 and True are equal, and so are 0.0 and -0.0; NaN is not equal to itself.
    kind = before.__class__
    if kind is not after.__class__:
        return False
    if kind is int or kind is str or kind is bool:
        return bool(before == after)
    if kind is float and before and not (math.isnan(before) and math.isnan(after)):
        return bool(before == after)
    return bool(encode_state(before) == encode_state(after))


def _shorter(changes: list[Change], after: Any, path: list[Any]) -> list[Change]:
    """Return the changes, or the whole value if that is shorter."""
    if len(changes) < 2 and not path:
        return changes
    return changes if _cost(changes) <= len(encode_state(after)) + _OVERHEAD else [["set", path, after]]


def _cost(changes: list[Change]) -> int:
    return len(encode_state(changes))
