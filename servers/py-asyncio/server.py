#!/usr/bin/python3
"""py-asyncio: the standard library's event loop, with a Protocol and a parser by hand.

One thread, one epoll instance inside asyncio's selector loop. A Protocol rather than streams: streams give each
connection a task, which the loop must schedule again after every wait; a Protocol is called with the bytes as soon as
they are read, and answers in the same turn. What waits is a timer of the loop.

This file only chooses the loop. The server is shared/loop.py, one connection shared/protocol.py, the parser
shared/http1.py: the same as in py-uvloop, so that the two differ in the loop and in nothing else.

Needs: Linux 2.6.28, Python 3.11. Leaves out: a second core (start several with LAB_REUSEPORT=1), TLS, uvloop.
By hand: ln -sfn ../_shared-python shared; LAB_PORT=8080 python3 server.py & curl -i 'http://127.0.0.1:8080/delay?ms=500'
"""

import asyncio

from shared.loop import LoopServer

if __name__ == "__main__":
    asyncio.run(LoopServer("py-asyncio").serve())
