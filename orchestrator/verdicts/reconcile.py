"""Compare what those who count the same connections say: the swarm, the servers, the kernel. Pure.

None of them is believed alone: a generator that lost track, a server that never accepted, and a socket that nobody owns
each look fine from one side.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parties:
    """How many connections are open at one instant, by each party; None: it could not be asked, `unknown` says why."""

    swarm: int  # the workers' own count
    servers: int | None  # the sum of the processes' /stats, without the connections it was asked over
    kernel: float | None  # half of the TCP sockets that the load added to the namespace: both ends are in it
    unknown: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether all that could be asked say the same."""
        return all(seen is None or seen == self.swarm for seen in (self.servers, self.kernel))

    def sentence(self) -> str:
        """Return the three numbers in words."""
        servers = "not known" if self.servers is None else f"{self.servers:,}"
        kernel = "not known" if self.kernel is None else f"{self.kernel:,.10g}"
        return f"the swarm counts {self.swarm:,}, the servers' /stats {servers}, the kernel's sockets {kernel}"


def disagreement(parties: Parties | None) -> str | None:
    """Return what the parties disagree about, or None; nothing is judged where they could not be compared."""
    if parties is None or parties.agree:
        return None
    return f"connections open at the same time: {parties.sentence()}"


def unaccounted(planned: int, sent: int, dropped: int, answered: int, errors_total: int) -> str | None:
    """Return what is wrong with the books of planned arrivals, or None.

    Each planned one was sent, dropped, or failed before its request had left; each sent one has an outcome.
    """
    if not sent + dropped <= planned <= sent + dropped + errors_total:
        return f"{planned:,} arrivals planned, but {sent:,} sent, {dropped:,} dropped and {errors_total:,} errors"
    if answered > sent:
        return f"{sent:,} requests sent, but {answered:,} right answers"
    if answered + errors_total < sent:
        return f"{sent:,} requests sent, but only {answered:,} right answers and {errors_total:,} errors"
    return None
