import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.nio.channels.SocketChannel;

/** One client's conversation, from top to bottom, in a virtual thread of its own: read, answer, read again. */
final class Connection implements Runnable {
    private static final int INPUT_MAX = 96 * 1024; // the longest request and room for pipelined ones
    private static final int OUTPUT_MAX = 64 * 1024; // then what is ready is sent before more is made
    private static final int READ_LEAST = 512;
    private static final int HEAD_MS = 10_000, BODY_MS = 30_000, LINGER_MS = 2_000;
    private static final int DRAIN_READ_MS = 50; // for a request that was on its way when the signal came
    private static final long SEND_NS = 30_000_000_000L;

    private final Server server;
    private final SocketChannel channel;
    private final Parser parser = new Parser();
    private final Buffer in = new Buffer(), out = new Buffer();
    private final ReadAhead ahead = new ReadAhead();
    private Socket socket; // the channel's blocking face, with time limits
    private InputStream from;
    private OutputStream to;
    private volatile boolean isIdle; // between two requests
    private volatile long sendingSinceNs; // 0: is not sending

    Connection(Server server, SocketChannel channel) {
        this.server = server;
        this.channel = channel;
    }

    @Override
    public void run() {
        try {
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            socket = channel.socket();
            from = socket.getInputStream();
            to = socket.getOutputStream();
            boolean goesOn = true;
            for (int firstMs = HEAD_MS; goesOn; firstMs = 0) {
                Request r = next(firstMs);
                goesOn = r != null && answer(r);
            }
        } catch (SocketTimeoutException e) {
            // the client was too slow: no error of the socket
        } catch (IOException e) { // ECONNRESET, EPIPE: this client is gone
            if (channel.isOpen()) // otherwise closeIfStuck() closed it
                server.stats.count(e);
        } finally {
            Server.close(channel);
            server.forget(this);
        }
    }

    // ---- reading -----------------------------------------------------------------------------------------

    /** @param idleMs how long the client may stay silent; 0: for ever. Returns null when it has left. */
    private Request next(int idleMs) throws IOException {
        boolean wasInBody = false;
        long endNs = System.nanoTime() + idleMs * 1_000_000L; // of the head, or of the body; not moved by each byte
        boolean isLimited = idleMs > 0;
        while (true) {
            switch (parser.parse(in)) {
                case REQUEST -> {
                    if (!parser.request.isBroken)
                        server.stats.requests.incrementAndGet();
                    return parser.request;
                }
                case CONTINUE -> server.reply.putContinue(out);
                case NOTHING -> { }
            }
            flush();
            if (parser.isInBody() && !wasInBody || !in.isEmpty() && !isLimited) {
                wasInBody = parser.isInBody();
                endNs = System.nanoTime() + (wasInBody ? BODY_MS : HEAD_MS) * 1_000_000L;
                isLimited = true;
            }
            isIdle = in.isEmpty() && !parser.isInBody();
            int waitMs = isIdle && server.isDraining() ? DRAIN_READ_MS : isLimited ? leftMs(endNs) : 0;
            if (!receive(waitMs))
                return null;
            isIdle = false;
        }
    }

    private static int leftMs(long endNs) throws SocketTimeoutException {
        long leftNs = endNs - System.nanoTime();
        if (leftNs <= 0)
            throw new SocketTimeoutException();
        return (int) ((leftNs + 999_999) / 1_000_000);
    }

    /** Blocks until there is more input. False: the client has left. Throws SocketTimeoutException after waitMs; 0: never. */
    private boolean receive(int waitMs) throws IOException {
        if (ahead.isInUse())
            return ahead.take(in, waitMs);
        socket.setSoTimeout(waitMs); // not a system call: the next read() is told
        in.reserve(READ_LEAST);
        int len = from.read(in.data, in.end, in.data.length - in.end);
        in.end += Math.max(0, len);
        return len >= 0;
    }

    // ---- answering ---------------------------------------------------------------------------------------

    /** Returns whether the conversation goes on. */
    private boolean answer(Request r) throws IOException {
        if (r.route == Request.Route.DELAY && !delay(r.delayMs) || r.route == Request.Route.HOLD && !hold())
            return false;
        boolean keepAlive = r.keepAlive && !server.isDraining();
        if (r.route == Request.Route.RELEASE)
            server.reply.putReleased(out, r, keepAlive, server.release());
        else
            server.reply.put(out, r, keepAlive);
        if (keepAlive) {
            if (out.size() > OUTPUT_MAX) // otherwise with the next ones, if those are here already
                flush();
            return true;
        }
        flush();
        if (r.isBroken || !in.isEmpty())
            linger();
        return false;
    }

    /** Waits, by reading with a time limit: only a read notices that the client has left. Returns whether it is there. */
    private boolean delay(int delayMs) throws IOException {
        flush(); // an earlier reply does not wait for this one
        long endNs = System.nanoTime() + delayMs * 1_000_000L;
        try {
            while (in.size() <= INPUT_MAX) {
                if (!receive(leftMs(endNs)))
                    return false;
            }
            Thread.sleep(leftMs(endNs)); // it has sent enough for now
        } catch (SocketTimeoutException due) {
            return true;
        } catch (InterruptedException e) {
            throw new InterruptedIOException();
        }
        return true;
    }

    /**
     * Waits for somebody's POST /release. Nobody can interrupt a read without closing its socket, so this thread waits, and a
     * second one reads on. With kernel threads that would be a scandal; with virtual ones it is a kilobyte.
     */
    private boolean hold() throws IOException {
        flush();
        socket.setSoTimeout(0);
        ahead.begin();
        server.hold(this);
        try {
            return ahead.awaitRelease();
        } finally {
            server.leave(this);
        }
    }

    void release() {
        ahead.release();
    }

    private void flush() throws IOException {
        if (out.isEmpty())
            return;
        sendingSinceNs = System.nanoTime() | 1; // never 0
        to.write(out.data, out.start, out.size());
        sendingSinceNs = 0;
        out.skip(out.size());
    }

    void closeIfStuck(long nowNs) {
        long sinceNs = sendingSinceNs;
        if (sinceNs != 0 && nowNs - sinceNs > SEND_NS)
            Server.close(channel);
    }

    // ---- the end -----------------------------------------------------------------------------------------

    /** Closing with unread input would make the kernel send a reset that can overtake the reply. */
    private void linger() throws IOException {
        channel.shutdownOutput();
        long endNs = System.nanoTime() + LINGER_MS * 1_000_000L;
        do
            in.skip(in.size());
        while (receive(leftMs(endNs)));
    }

    /** Wakes an idle reader with an end of input; what has come before is still read. */
    void endIfIdle() {
        if (!isIdle)
            return;
        try {
            channel.shutdownInput();
        } catch (IOException ignored) { // best effort: then it has just been closed
        }
    }

    /** What a second virtual thread reads while the first one waits in /hold. Guarded by itself; a monitor does not pin. */
    private final class ReadAhead {
        private final Buffer data = new Buffer();
        private boolean isInUse; // only the first thread uses it
        private boolean isReading, isReleased, isHolding, hasEnded;
        private IOException error;

        /** Whether input has to come through here: a read() that has begun cannot be called off. */
        boolean isInUse() {
            return isInUse;
        }

        synchronized void begin() {
            isInUse = isHolding = true;
            isReleased = false;
            if (isReading || hasEnded)
                return;
            isReading = true;
            server.startVirtual(this::read);
        }

        private void read() {
            byte[] chunk = new byte[READ_LEAST];
            boolean goesOn = true;
            while (goesOn) {
                int len = -1;
                IOException failure = null;
                try {
                    len = from.read(chunk);
                } catch (IOException e) {
                    failure = e;
                }
                goesOn = keep(chunk, len, failure);
            }
        }

        private synchronized boolean keep(byte[] chunk, int len, IOException failure) {
            if (len > 0)
                data.put(chunk, 0, len);
            hasEnded = len < 0;
            error = failure;
            isReading = !hasEnded && isHolding && data.size() <= INPUT_MAX;
            notifyAll();
            return isReading;
        }

        synchronized void release() {
            isReleased = true;
            notifyAll();
        }

        /** Returns false when the client left first. */
        synchronized boolean awaitRelease() throws IOException {
            while (!isReleased && !hasEnded)
                await(0);
            isHolding = false;
            if (!isReleased && error != null)
                throw error;
            return isReleased;
        }

        /** As receive(). */
        synchronized boolean take(Buffer to, int waitMs) throws IOException {
            long endNs = System.nanoTime() + waitMs * 1_000_000L;
            while (data.isEmpty() && !hasEnded)
                await(waitMs == 0 ? 0 : leftMs(endNs));
            if (data.isEmpty() && error != null)
                throw error;
            boolean hasMore = !data.isEmpty();
            to.put(data.data, data.start, data.size());
            data.release();
            isInUse = isReading || hasEnded; // otherwise the first thread may read again
            return hasMore;
        }

        private void await(int ms) throws IOException {
            try {
                wait(ms);
            } catch (InterruptedException e) { // nobody interrupts it
                throw new InterruptedIOException();
            }
        }
    }
}
