"""Wrong tokens are counted: whoever sends some has to wait, ever longer."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

FREE = 5
"""Wrong tokens from one address before it has to wait; then 1, 2, 4, ... seconds."""

LONGEST_WAIT = 300.0
"""Seconds. After twice as long without a wrong token an address is forgotten."""

FREE_IN_ALL = 60
"""Wrong tokens a minute from all addresses together. Then those wait that have not sent the right one yet."""

MINUTE = 60.0
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    until: float = 0.0
    last: float = 0.0
    was_right: bool = False


class Attempts:
    """Who has sent wrong tokens, and how long they have to wait.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, _Record] = OrderedDict()
        self._recent: deque[float] = deque()

    def wait(self, address: str) -> float:
        """Returns for how many seconds no token of this address is looked at, right or wrong; 0: it is."""
        now, record = self._clock(), self._known.get(network_of(address))
        while self._recent and now - self._recent[0] > MINUTE:
            self._recent.popleft()
        own = record.until - now if record else 0.0
        too_many = len(self._recent) >= FREE_IN_ALL and not (record and record.was_right)
        return max(own, MINUTE - (now - self._recent[0]) if too_many else 0.0, 0.0)

    def wrong(self, address: str) -> None:
        """Notes a wrong token."""
        now, record = self._clock(), self._record(address)
        if now - record.last > 2 * LONGEST_WAIT:
            record.wrong = 0
        record.wrong, record.last = record.wrong + 1, now
        if record.wrong >= FREE:
            record.until = now + min(2.0 ** min(record.wrong - FREE, 16), LONGEST_WAIT)
        self._recent.append(now)

    def right(self, address: str) -> None:
        """Notes the right token."""
        record = self._record(address)
        record.wrong, record.was_right = 0, True

    def _record(self, address: str) -> _Record:
        network = network_of(address)
        record = self._known.setdefault(network, _Record())
        self._known.move_to_end(network)
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)
        return record


def network_of(address: str) -> str:
    """Returns what counts as one address: of IPv6 the first 64 bits, for the rest is everybody's own choice."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(found) >> 64 << 64, 64)))
