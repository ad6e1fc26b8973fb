"""What a filter of metadata means, said slowly: value by value, with Python's own comparisons."""

from typing import Any


def matches(metadata: dict[str, Any], asked: dict[str, Any]) -> bool:
    return all(_holds(metadata.get(key), wanted) for key, wanted in asked.items())


def _holds(value: Any, wanted: Any) -> bool:
    operators = wanted if isinstance(wanted, dict) else {"=": wanted}
    return all(_one(value, operator, other) for operator, other in operators.items())


def _one(value: Any, operator: str, other: Any) -> bool:
    if operator == "in":
        return any(_one(value, "=", one) for one in other)
    if _kind(value) != _kind(other):
        return False
    if operator == "=":
        return value == other
    if isinstance(value, str):  # by code point, whatever the language thinks
        value, other = list(map(ord, value)), list(map(ord, other))
    return {"<": value < other, "<=": value <= other, ">": value > other, ">=": value >= other}[operator]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else type(value).__name__
