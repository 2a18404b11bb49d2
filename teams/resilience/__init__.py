"""What to do when something outside fails: retry, turn elsewhere, stop asking, keep the books.

For people who write servers and what teams stand on. Outermost first: `@with_cost_tracking`, `@with_fallback`, `@with_retry`,
`@with_circuit_breaker`.
"""

from teams.resilience.breaker import CircuitBreaker, CircuitOpen
from teams.resilience.cache import with_cache
from teams.resilience.circuit import with_circuit_breaker
from teams.resilience.costs import CallCost, Tally, with_cost_tracking
from teams.resilience.fallback import with_fallback
from teams.resilience.retry import with_retry

__all__ = [
    "CallCost",
    "CircuitBreaker",
    "CircuitOpen",
    "Tally",
    "with_cache",
    "with_circuit_breaker",
    "with_cost_tracking",
    "with_fallback",
    "with_retry",
]
