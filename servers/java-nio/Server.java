// java-nio: one thread, one Selector, every socket non-blocking.
//
// The model of c-epoll, with the JDK's Selector where that one calls epoll_wait(): level-triggered, so whatever is not
// taken now is told again. The loop asks which sockets are ready, and each is served as far as it goes without waiting;
// what a client has sent of an unfinished request, and what it has not yet taken of a reply, is kept in its Connection.
// Three habits keep a Selector fast: select(action) instead of the set of selected keys, one direct buffer for
// all reading and writing (a heap buffer would be copied through a temporary one on each call), and interest that is
// only changed when it must be, because each change is a system call.
//
// Needs: Linux 2.6.28 (epoll), Java 21. Leaves out: a second core (start several with LAB_REUSEPORT=1), TLS.
// By hand: see README.md; then curl -i 'http://127.0.0.1:8080/delay?ms=500'

import static java.nio.channels.SelectionKey.OP_ACCEPT;

import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.HashSet;
import java.util.Set;

public final class Server {
    static final String VARIANT = "java-nio";
    private static final int ACCEPT_BACKOFF_MS = 100; // after EMFILE: not to spin, yet short beside a client's patience
    private static final int ACCEPTS_MAX = 64; // per turn: a burst of new clients must not starve those already here

    final Stats stats;
    final Reply reply;
    final Timers timers = new Timers();
    final Buffer out = new Buffer(); // replies are made here; only what a client does not take is kept in its Connection
    final ByteBuffer direct = ByteBuffer.allocateDirect(64 * 1024); // between the kernel and the heap, for all sockets
    Set<Connection> held = new HashSet<>(); // in /hold

    private final Selector selector;
    private final ServerSocketChannel listener;
    private final SelectionKey listenKey;
    private volatile boolean wantsStop; // set by the thread of the signal
    private boolean isDraining;

    // ---- the socket ------------------------------------------------------------------------------------

    private Server(Config config) throws IOException {
        listener = ServerSocketChannel.open();
        listener.configureBlocking(false);
        listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        if (config.reusePort())
            listener.setOption(StandardSocketOptions.SO_REUSEPORT, true);
        selector = Selector.open();
        // The backlog goes to listen(2) as it is; the kernel cuts it to net.core.somaxconn in silence.
        listener.bind(config.address(), config.backlog());
        listenKey = listener.register(selector, OP_ACCEPT);
        stats = new Stats(VARIANT, config, () -> held.size());
        reply = new Reply(VARIANT, config, stats);
    }

    // ---- the loop --------------------------------------------------------------------------------------

    private void run() throws IOException {
        while (!isDraining || stats.active.get() > 0) {
            long sleepMs = timers.msToNext();
            if (sleepMs == 0)
                selector.selectNow(this::serve);
            else
                selector.select(this::serve, Math.max(0, sleepMs)); // 0 means for ever here
            timers.fireDue();
            if (wantsStop && !isDraining)
                drain();
        }
    }

    private void serve(SelectionKey key) {
        if (key == listenKey)
            accept(ACCEPTS_MAX);
        else
            ((Connection) key.attachment()).serve();
    }

    private void accept(int most) {
        for (int i = 0; i < most; i++) {
            SocketChannel channel;
            try {
                channel = listener.accept();
            } catch (IOException e) { // EMFILE, ENFILE, ENOBUFS, ENOMEM: asking at once would spin
                stats.count(e);
                listenKey.interestOps(0);
                timers.set(acceptAgain, ACCEPT_BACKOFF_MS);
                return;
            }
            if (channel == null)
                return;
            stats.accepted.incrementAndGet();
            try {
                channel.configureBlocking(false);
                channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                new Connection(this, channel, selector);
                stats.active.incrementAndGet();
            } catch (IOException e) {
                stats.count(e);
                close(channel);
            }
        }
    }

    private final Timers.Timer acceptAgain = new Timers.Timer() {
        @Override
        void fire() {
            if (!isDraining)
                listenKey.interestOps(OP_ACCEPT);
        }
    };

    static void close(java.io.Closeable one) {
        try {
            one.close();
        } catch (IOException ignored) { // best effort: close(2) frees the descriptor even when it complains
        }
    }

    /** Every client in /hold is answered in a turn of its own: answering here could meet another /release and recurse. */
    int release() {
        Set<Connection> released = held;
        held = new HashSet<>();
        for (Connection connection : released)
            timers.set(connection, 0);
        return released.size();
    }

    boolean isDraining() {
        return isDraining;
    }

    // ---- shutdown --------------------------------------------------------------------------------------

    private void drain() throws IOException {
        accept(Integer.MAX_VALUE); // who is queued already: closing the listener would reset them
        close(listener);
        selector.selectNow(this::serve); // and whoever has already asked is served
        isDraining = true;
        for (SelectionKey key : Set.copyOf(selector.keys()))
            if (key.attachment() instanceof Connection connection)
                connection.closeIfIdle();
    }

    /**
     * Runs when SIGTERM or SIGINT has begun the JVM's shutdown, which would end with code 143 or 130. halt() ends it with 0,
     * also when whoever is left has had LAB_DRAIN_S.
     */
    private void stop(Thread loop, long drainMs) {
        wantsStop = true;
        selector.wakeup();
        try {
            if (drainMs > 0) // 0 would mean for ever
                loop.join(drainMs);
        } catch (InterruptedException e) { // nobody interrupts a hook
            Thread.currentThread().interrupt();
        }
        Runtime.getRuntime().halt(0);
    }

    public static void main(String[] args) {
        Config config = Config.read();
        Server server;
        try {
            server = new Server(config);
        } catch (IOException e) {
            System.err.printf("%s: cannot listen on %s:%d: %s%n", VARIANT, config.address().getHostString(),
                    config.address().getPort(), e.getMessage());
            System.exit(1);
            return;
        }
        Thread loop = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(loop, config.drainMs())));
        System.err.printf("%s: listening on %s:%d, backlog %d%n", VARIANT, config.address().getHostString(),
                config.address().getPort(), config.backlog());
        try {
            server.run();
        } catch (IOException e) {
            System.err.println(VARIANT + ": select: " + e.getMessage());
            Runtime.getRuntime().halt(1);
        }
    }
}
