#!/usr/bin/python3
"""py-uvloop: asyncio's interface on libuv, the loop that Node.js runs on, written in Cython and C.

asyncio's own loop is Python: for each event it makes a Handle, looks up a selector key, calls recv() and a callback
through several frames. uvloop does all of that in C and enters Python only in the Protocol's data_received(); what is
left is the cost of that call, the parser and the reply.

This file only chooses the loop. The server is shared/loop.py, one connection shared/protocol.py, the parser
shared/http1.py: the same as in py-asyncio, so that the two differ in the loop and in nothing else.

Needs: Linux 2.6.28, Python 3.11, uvloop (Debian's python3-uvloop). Leaves out: a second core (start several with
LAB_REUSEPORT=1), TLS, a parser in C.
By hand: ln -sfn ../_shared-python shared; LAB_PORT=8080 python3 server.py & curl -i 'http://127.0.0.1:8080/delay?ms=500'
"""

import asyncio

import uvloop
from shared.loop import LoopServer

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(LoopServer("py-uvloop").serve())
