import static java.nio.channels.SelectionKey.OP_READ;
import static java.nio.channels.SelectionKey.OP_WRITE;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;

/** One client: what it has sent of a request, what it has not yet taken of a reply, and what it waits for. */
final class Connection extends Timers.Timer {
    private static final int INPUT_MAX = 96 * 1024; // the longest request and room for pipelined ones
    private static final int OUTPUT_MAX = 64 * 1024; // then what is ready is sent before more is made
    private static final int HEAD_MS = 10_000, BODY_MS = 30_000, SEND_MS = 30_000, LINGER_MS = 2_000;

    /** What the timer stands for. A limit is not moved by each byte: who sends slowly gains nothing. */
    private enum Limit { NONE, HEAD, BODY, SEND, WAIT, LINGER }

    private final Server server;
    private final SocketChannel channel;
    private final SelectionKey key;
    private final Parser parser = new Parser();
    private final Buffer in = new Buffer(), unsent = new Buffer();
    private Limit limit = Limit.NONE;
    private Request waiting; // in /delay or /hold
    private boolean isClosing; // nothing further is answered
    private boolean mustLinger; // the client may still be sending
    private boolean hasEnded; // the client has sent its last byte

    Connection(Server server, SocketChannel channel, Selector selector) throws IOException {
        this.server = server;
        this.channel = channel;
        this.key = channel.register(selector, OP_READ, this);
        setLimit(Limit.HEAD, HEAD_MS);
    }

    // ---- what the loop calls -----------------------------------------------------------------------------

    void serve() {
        try {
            if (key.isReadable())
                read();
            if (key.isValid() && key.isWritable()) {
                send(unsent);
                if (unsent.isEmpty())
                    goOn();
            }
        } catch (IOException e) { // ECONNRESET, EPIPE: this client is gone, the others are not
            server.stats.count(e);
            close();
        }
    }

    @Override
    void fire() {
        if (waiting == null) {
            close(); // too slow, or lingered long enough
            return;
        }
        Request r = waiting;
        waiting = null;
        limit = Limit.NONE;
        try {
            answer(r);
            goOn(); // and whatever it asked meanwhile
        } catch (IOException e) {
            server.stats.count(e);
            close();
        }
    }

    void closeIfIdle() {
        if (waiting == null && in.isEmpty() && unsent.isEmpty() && !parser.isInBody() && !isClosing)
            close();
    }

    // ---- reading -----------------------------------------------------------------------------------------

    private void read() throws IOException {
        ByteBuffer direct = server.direct.clear();
        int len = channel.read(direct);
        if (len < 0) {
            hasEnded = true;
            if (unsent.isEmpty() || waiting != null)
                close();
            else // its last reply is still on the way
                isClosing = true;
            setInterest();
            return;
        }
        if (isClosing)
            return; // lingering: discarded
        in.reserve(len);
        direct.flip().get(in.data, in.end, len);
        in.end += len;
        if (waiting == null && unsent.isEmpty())
            goOn();
        else
            setInterest();
    }

    /** Answers every complete request, in order, with one write; stops at one that has to wait. */
    private void goOn() throws IOException {
        while (waiting == null && !isClosing) {
            Parser.Parsed parsed = parser.parse(in);
            if (parsed == Parser.Parsed.NOTHING)
                break;
            if (parsed == Parser.Parsed.CONTINUE) {
                server.reply.putContinue(server.out);
                break;
            }
            setLimit(Limit.NONE, 0);
            if (!parser.request.isBroken)
                server.stats.requests.incrementAndGet();
            begin(parser.request);
            if (server.out.size() > OUTPUT_MAX && !flush())
                break; // it does not read: nothing further is made for it
        }
        flush();
        if (isClosing && unsent.isEmpty()) {
            finish();
        } else if (waiting == null) { // otherwise the timer is the wait's
            if (!unsent.isEmpty())
                setLimit(Limit.SEND, SEND_MS);
            else if (parser.isInBody())
                setLimit(Limit.BODY, BODY_MS);
            else if (!in.isEmpty())
                setLimit(Limit.HEAD, HEAD_MS);
            else
                setLimit(Limit.NONE, 0);
        }
        if (in.isEmpty())
            in.release();
        setInterest();
    }

    private void begin(Request r) {
        if (r.route == Request.Route.DELAY) {
            waiting = r;
            setLimit(Limit.WAIT, r.delayMs);
        } else if (r.route == Request.Route.HOLD) {
            waiting = r;
            limit = Limit.WAIT; // by /release alone
            server.held.add(this);
        } else {
            answer(r);
        }
    }

    private void answer(Request r) {
        boolean keepAlive = r.keepAlive && !server.isDraining();
        if (r.route == Request.Route.RELEASE)
            server.reply.putReleased(server.out, r, keepAlive, server.release());
        else
            server.reply.put(server.out, r, keepAlive);
        isClosing = !keepAlive;
        mustLinger = isClosing && (r.isBroken || !in.isEmpty());
    }

    // ---- writing -----------------------------------------------------------------------------------------

    /** Sends what was made in this turn; keeps what the client does not take. Returns whether it took all. */
    private boolean flush() throws IOException {
        if (server.out.isEmpty())
            return unsent.isEmpty();
        try {
            if (unsent.isEmpty())
                send(server.out);
            unsent.put(server.out.data, server.out.start, server.out.size());
        } finally {
            server.out.skip(server.out.size()); // it is the next connection's
        }
        return unsent.isEmpty();
    }

    private void send(Buffer from) throws IOException {
        while (!from.isEmpty()) {
            ByteBuffer direct = server.direct.clear();
            int len = Math.min(from.size(), direct.capacity());
            int sent = channel.write(direct.put(from.data, from.start, len).flip());
            from.skip(sent);
            if (sent < len)
                return;
        }
        if (from == unsent)
            unsent.release();
    }

    // ---- interest, limits, the end -----------------------------------------------------------------------

    private void setInterest() {
        if (!key.isValid())
            return;
        // A client that waits, or does not read, is still read from, to notice when it leaves, but not without end.
        int wanted = !hasEnded && (in.size() <= INPUT_MAX || isClosing) ? OP_READ : 0;
        if (!unsent.isEmpty())
            wanted |= OP_WRITE;
        if (key.interestOps() != wanted)
            key.interestOps(wanted);
    }

    private void setLimit(Limit wanted, int ms) {
        if (wanted == limit)
            return;
        limit = wanted;
        if (wanted == Limit.NONE)
            server.timers.cancel(this);
        else
            server.timers.set(this, ms);
    }

    /** Closing with unread input would make the kernel send a reset that can overtake the reply. */
    private void finish() throws IOException {
        if (!mustLinger) {
            close();
        } else if (limit != Limit.LINGER) {
            in.release();
            channel.shutdownOutput();
            setLimit(Limit.LINGER, LINGER_MS);
        }
    }

    private void close() {
        if (!key.isValid())
            return;
        server.timers.cancel(this);
        server.held.remove(this);
        Server.close(channel); // its key is cancelled with it
        server.stats.active.decrementAndGet();
        waiting = null;
        isClosing = true;
    }
}
