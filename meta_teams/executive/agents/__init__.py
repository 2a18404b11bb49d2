"""The agents of executive: by name, the function that makes each."""

from .ceo import ceo
from .cfo import cfo
from .cmo import cmo
from .coo import coo
from .cto import cto

AGENTS = {
    "ceo": ceo,
    "cto": cto,
    "cmo": cmo,
    "coo": coo,
    "cfo": cfo,
}
