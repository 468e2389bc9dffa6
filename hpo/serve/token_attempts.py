"""Rate limiting of wrong tokens: an address that sends them has to wait, longer each time."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

FREE_ATTEMPTS = 5
"""Wrong tokens from one address before it has to wait; then 1, 2, 4, ... seconds."""

MAX_WAIT = 300.0
"""Maximum seconds to wait. After twice as long without a wrong token an address starts from 0 again."""

FREE_ATTEMPTS_IN_TOTAL = 60
"""Wrong tokens per minute from all addresses; beyond it all addresses wait that have not sent the right token yet."""

MINUTE = 60.0
MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    until: float = 0.0
    last: float = 0.0
    was_right: bool = False


class TokenAttempts:
    """Wrong tokens by address, and how long an address has to wait.

    Args:
        clock: returns the time in seconds; tests replace it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, _Record] = OrderedDict()
        self._recent: deque[float] = deque()

    def wait(self, address: str) -> float:
        """Returns for how many seconds the tokens of an address are rejected, right or wrong; 0: they are checked."""
        now, record = self._clock(), self._known.get(network_of(address))
        while self._recent and now - self._recent[0] > MINUTE:
            self._recent.popleft()
        wait = record.until - now if record else 0.0
        too_many = len(self._recent) >= FREE_ATTEMPTS_IN_TOTAL and not (record and record.was_right)
        return max(wait, MINUTE - (now - self._recent[0]) if too_many else 0.0, 0.0)

    def record_wrong(self, address: str) -> None:
        """Records a wrong token."""
        now, record = self._clock(), self._record(address)
        if now - record.last > 2 * MAX_WAIT:
            record.wrong = 0
        record.wrong, record.last = record.wrong + 1, now
        if record.wrong >= FREE_ATTEMPTS:
            record.until = now + min(2.0 ** min(record.wrong - FREE_ATTEMPTS, 16), MAX_WAIT)
        self._recent.append(now)

    def record_right(self, address: str) -> None:
        """Records the right token."""
        record = self._record(address)
        record.wrong, record.was_right = 0, True

    def _record(self, address: str) -> _Record:
        network = network_of(address)
        record = self._known.setdefault(network, _Record())
        self._known.move_to_end(network)
        if len(self._known) > MAX_ADDRESSES:
            self._known.popitem(last=False)
        return record


def network_of(address: str) -> str:
    """Returns the network that counts as one address: the first 64 bits of IPv6, because clients choose the others."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
