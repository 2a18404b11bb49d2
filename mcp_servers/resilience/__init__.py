"""What to do when something outside fails: retry, turn elsewhere, stop asking, keep the books.

For people who write servers. Outermost first: `@with_cost_tracking`, `@with_fallback`, `@with_retry`, `@with_circuit_breaker`.
"""

from mcp_servers.resilience.breaker import CircuitBreaker, CircuitOpen
from mcp_servers.resilience.cache import with_cache
from mcp_servers.resilience.circuit import with_circuit_breaker
from mcp_servers.resilience.costs import CallCost, Tally, with_cost_tracking
from mcp_servers.resilience.fallback import with_fallback
from mcp_servers.resilience.retry import with_retry

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
