"""Which variant is compared with which bare server: the fastest of the same model and language that we could write.

Pure. The bare ones (bench/bare) answer every request alike and parse nothing. What a model is: what the variant's
manifest calls its technique. Where that includes a library's own HTTP (net/http, node:http), so does the bare server's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """A variant and its rival. bare: the folder in bench/bare; model: what BARE_MODEL says to it."""

    variant: str
    bare: str
    model: str

    @property
    def rival(self) -> str:
        return f"{self.bare} {self.model}"

    @property
    def line(self) -> str:
        """The name of its line in bench.json."""
        return f"rivals {self.variant} / {self.rival}"


# One core for the server, so the loops with a process per core have one process: their rival is one plain loop.
PAIRS = (
    Pair("c-threads", "bare-c", "threads"),
    Pair("c-threadpool", "bare-c", "pool"),
    Pair("c-prefork", "bare-c", "prefork"),
    Pair("c-select", "bare-c", "select"),
    Pair("c-poll", "bare-c", "poll"),
    Pair("c-epoll", "bare-c", "epoll"),
    Pair("c-epoll-et", "bare-c", "epoll-et"),
    Pair("c-epoll-reuseport", "bare-c", "epoll"),
    Pair("c-epoll-exclusive", "bare-c", "epoll"),
    Pair("c-uring", "bare-c", "uring"),
    Pair("go-nethttp", "bare-go", "nethttp"),
    Pair("go-net", "bare-go", "net"),
    Pair("go-epoll", "bare-go", "epoll"),
    Pair("rust-tokio", "bare-rust", "tokio"),
    Pair("java-virtual-threads", "bare-java", "virtual"),
    Pair("java-nio", "bare-java", "nio"),
    Pair("node-http", "bare-node", "http"),
    Pair("py-threads", "bare-python", "threads"),
    Pair("py-asyncio", "bare-python", "asyncio"),
    Pair("py-uvloop", "bare-python", "uvloop"),
    Pair("py-gevent", "bare-python", "gevent"),
    Pair("erlang", "bare-erlang", "active"),
)
