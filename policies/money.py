"""Dollars as people write them, micro-dollars as code counts them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

from policies.facts import MICRO

MOST_USD = 1_000_000_000


def usd_micro(value: object) -> int:
    """Whole micro-dollars in a number of dollars (`10`, `0.25`, `"12.34"`). Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("write an amount in US dollars, such as 10 or 0.25")  # noqa: TRY004 (pydantic reports ValueErrors)
    try:
        micro = Decimal(str(value)) * MICRO
    except InvalidOperation as error:
        raise ValueError("write an amount in US dollars, such as 10 or 0.25") from error
    if not micro.is_finite() or micro < 0 or micro > MOST_USD * MICRO:
        raise ValueError(f"an amount is between 0 and {MOST_USD} US dollars")
    if micro != int(micro):
        raise ValueError("an amount has at most six decimals")
    return int(micro)


def dollars(micro: int) -> str:
    """`$12.34`; with the digits it takes if there are fewer than two or more than that."""
    cents, rest = divmod(micro, MICRO // 100)
    return f"${cents // 100}.{cents % 100:02d}" if not rest else f"${Decimal(micro) / MICRO}"


def _written(value: object, info: ValidationInfo) -> int:
    """In a file an amount is a number; code may give the exact decimals as text."""
    if info.mode == "json" and isinstance(value, str):
        raise ValueError("write an amount in US dollars without quotes, such as 10 or 0.25")
    return usd_micro(value)


Usd = Annotated[
    int,
    BeforeValidator(_written),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": MOST_USD}, mode="validation"),
]
"""An amount that is dollars in a policy file and micro-dollars in the model."""
