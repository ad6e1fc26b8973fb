"""Metadata of a window, and the small form in which a query asks for some of it.

Metadata: a flat JSON object {key: text, number, true, false or null}. A filter: {key: value} asks for that value; {key: {"in": […]}}
and {key: {"<": 5, ">=": 1}} for one of several and for a range; of several keys all must hold. A number is compared with numbers,
whole or not, a text with texts (by code point), and another kind of value never matches; null asks for windows whose key is null or
missing.

The database gets `facts`, one text for each window: |KIND KEY=x VALUE|…, e.g. |s74=x7831|n61=xc008000000000000|. Keys, texts and
numbers are written in hexadecimal digits that sort as they do, so whatever a client writes, nothing but digits stands in a condition.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from .refusal import Refused
from .settings import Settings

Value = str | int | float | bool | None

LONGEST_KEY = 64
"""Characters of a key of metadata."""
MOST_TERMS = 64
"""Comparisons of a filter; each value of `in` is one, and each is made with every window."""
EXACT = 2**53
"""Whole numbers beyond it are not told apart by JSON readers, nor here."""
ORDER = ("<", "<=", ">", ">=")


def checked(metadata: Any, settings: Settings, where: str) -> dict[str, Value]:
    """Metadata itself, {} for null. Refused where it is not flat, too large, or holds what can not be compared."""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise Refused("metadata", f"expected metadata to be a JSON object or null, got {_kind(metadata)} {where}")
    if len(metadata) > settings.max_metadata_keys:
        most, got = settings.max_metadata_keys, len(metadata)
        raise Refused("metadata", f"expected at most {most} keys of metadata, got {got} {where}", most, got)
    for key, value in metadata.items():
        _key(key, where)
        _value(value, key, where)
    size = len(to_json(metadata))
    if size > settings.max_metadata_bytes:
        most = settings.max_metadata_bytes
        raise Refused("metadata", f"expected at most {most} bytes of metadata, got {size} {where}", most, size)
    return metadata


def facts(metadata: Mapping[str, Value]) -> str:
    """What the database keeps to compare by."""
    parts = [f"{_kind(value)[0]}{_hex(key)}={_digits(value)}" for key, value in metadata.items() if value is not None]
    return "|" + "".join(f"{part}|" for part in parts)


def condition(asked: Any, settings: Settings) -> str | None:
    """The filter of a query as a condition on the column `facts`; None where nothing is asked. Refused where it is not of our form."""
    if asked is None or asked == {}:
        return None
    if not isinstance(asked, dict):
        raise Refused("filter", f"expected the filter to be a JSON object such as {LIKE}, got {_kind(asked)}", LIKE)
    if len(asked) > settings.max_metadata_keys:
        most, got = settings.max_metadata_keys, len(asked)
        raise Refused("filter", f"expected at most {most} keys in the filter, got {got}", most, got)
    # A filter for equal values is as long as the metadata it finds.
    size = len(to_json(asked, inf_nan_mode="constants"))
    if size > settings.max_metadata_bytes:
        most = settings.max_metadata_bytes
        raise Refused("filter", f"expected at most {most} bytes of filter, got {size}", most, size)
    found: list[str] = []
    terms = 0
    for key, wanted in asked.items():
        _key(key, "in the filter", "filter")
        operators = wanted if isinstance(wanted, dict) else {"=": wanted}
        if not operators:
            raise Refused("filter", f"expected an operator for the key '{key}' of the filter, got none", LIKE)
        terms += sum(len(value) if isinstance(value, list) else 1 for value in operators.values())
        if terms > MOST_TERMS:
            message = f"expected at most {MOST_TERMS} comparisons in the filter, each value of 'in' being one, got more"
            raise Refused("filter", message, MOST_TERMS)
        found += [_one(key, operator, value) for operator, value in operators.items()]
    return " and ".join(found)


LIKE = '{"subject": 3, "label": {"in": ["walk", "run"]}, "age": {">=": 18, "<": 65}}'


def _one(key: str, operator: str, value: Any) -> str:
    if operator == "in":
        if not isinstance(value, list) or not value:
            got = 0 if isinstance(value, list) else _kind(value)
            message = f"expected 'in' of the key '{key}' to be a list of 1 to {MOST_TERMS} values, got {got}"
            raise Refused("filter", message)
        return "(" + " or ".join(_one(key, "=", one) for one in value) + ")"
    if operator != "=" and operator not in ORDER:
        known = ["=", "in", *ORDER]
        raise Refused(
            "filter", f"expected one of {' '.join(known)}, got '{operator[:50]}' in the filter", known, operator[:50]
        )
    _value(value, key, "in the filter", "filter")
    if operator == "=":
        if value is None:
            return "(" + " and ".join(f"not contains(facts, '|{kind}{_hex(key)}=')" for kind in "stn") + ")"
        return f"contains(facts, '|{_kind(value)[0]}{_hex(key)}={_digits(value)}|')"
    if isinstance(value, bool) or value is None:
        raise Refused("filter", f"expected a number or a text to compare by {operator}, got {_kind(value)} for '{key}'")
    # A key that is not there gives the empty text, which is below every value.
    there = f"split_part(split_part(facts, '|{_kind(value)[0]}{_hex(key)}=', 2), '|', 1)"
    return f"({there} >= 'x' and {there} {operator} '{_digits(value)}')"


def _key(key: str, where: str, reason: str = "metadata") -> None:
    if not 1 <= len(key) <= LONGEST_KEY:
        message = f"expected keys of 1 to {LONGEST_KEY} characters, got {len(key)} {where}"
        raise Refused(reason, message, LONGEST_KEY, len(key))


def _value(value: Any, key: str, where: str, reason: str = "metadata") -> None:
    if isinstance(value, dict | list) or not isinstance(value, Value):
        message = f"expected a text, a number, true, false or null for '{key}', got {_kind(value)} {where}"
        raise Refused(reason, message, got=_kind(value))
    if isinstance(value, int | float) and not (
        math.isfinite(value) if isinstance(value, float) else abs(value) <= EXACT
    ):
        message = f"expected a finite number, and a whole one within ±2^53, for '{key}' {where}: write others as text"
        raise Refused(reason, message)


def _kind(value: Any) -> str:
    """Its first letter stands in the facts: s text, t true or false, n number."""
    names = {
        str: "string",
        bool: "truth",
        int: "number",
        float: "number",
        dict: "object",
        list: "list",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _digits(value: str | float | bool) -> str:
    """x and hexadecimal digits that sort as the values do."""
    if isinstance(value, bool):
        return f"x{int(value)}"
    if isinstance(value, str):
        return f"x{_hex(value)}"
    # The bits of a double sort as its value once the sign is turned: negative numbers are inverted, others get a leading one.
    bits = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))[0]
    return f"x{bits ^ (2**64 - 1) if bits >> 63 else bits | 1 << 63:016x}"


def _hex(text: str) -> str:
    return text.encode().hex()  # UTF-8 sorts by code point
