"""Values of a manifest that may be anything at all, looked at without surprise. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

_DNS = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


class BadQuantity(ValueError):
    """It is not a quantity as a cluster reads it."""


def at(value: object, *path: str) -> Any:
    """What lies there; None if anything on the way does not."""
    for step in path:
        value = mapping(value).get(step)
    return value


def mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def is_dns_name(value: str) -> bool:
    """A DNS label: what names of objects and namespaces are."""
    return _DNS.fullmatch(value) is not None


def quantity(value: object) -> Decimal | None:
    """`100m`, `1`, `384Mi`; None for None. Raises `BadQuantity`."""
    if value is None:
        return None
    written = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    match = _QUANTITY.fullmatch(written)
    if match is None:
        raise BadQuantity(f"{str(value)[:40]!r} is no quantity (100m, 1, 384Mi)")
    return Decimal(match[1]) * _UNITS[match[2] or ""]
