// java-virtual-threads: one thread per connection, and the threads cost next to nothing.
//
// A connection is written as a conversation that blocks (Connection.java), as in c-threads. But its thread is virtual: when
// a read has nothing to read, the JVM takes the thread's stack off the kernel's thread that carried it (the carrier), keeps
// it in the heap, a few hundred bytes, and hands the socket to its poller: an epoll instance in which it stands until
// it is readable. Then the stack is mounted again on whichever carrier is free, and read() returns. There are as many carriers
// as processors, so on one core there is one: blocking code in the source, an event loop underneath. It is the model of Go.
//
// A carrier is lost to the others ("pinned") only while a thread blocks inside native code or in a file: /stats, which looks
// into /proc. Since Java 24 a monitor does not pin, so `synchronized` and wait() are used here without fear.
//
// Needs: Linux 2.6.28 (epoll), Java 24. Leaves out: a limit on connections, TLS.
// By hand: see README.md; then curl -i 'http://127.0.0.1:8080/delay?ms=500'

import java.io.Closeable;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;

public final class Server {
    static final String VARIANT = "java-virtual-threads";
    private static final Duration ACCEPT_BACKOFF = Duration.ofMillis(100); // after EMFILE: not to spin, yet short

    final Stats stats;
    final Reply reply;

    private final ServerSocketChannel listener;
    private final Selector selector; // for the listener alone: a blocking accept() could not be woken without closing it
    private final Set<Connection> connections = ConcurrentHashMap.newKeySet();
    private Set<Connection> held = new HashSet<>(); // in /hold; guarded by this
    private volatile boolean wantsStop, isDraining;
    private volatile Thread main;

    // ---- the socket ------------------------------------------------------------------------------------

    private Server(Config config) throws IOException {
        openPoller();
        listener = ServerSocketChannel.open();
        listener.configureBlocking(false);
        listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        if (config.reusePort())
            listener.setOption(StandardSocketOptions.SO_REUSEPORT, true);
        selector = Selector.open();
        // The backlog goes to listen(2) as it is; the kernel cuts it to net.core.somaxconn in silence.
        listener.bind(config.address(), config.backlog());
        listener.register(selector, SelectionKey.OP_ACCEPT);
        stats = new Stats(VARIANT, config, this::countHeld);
        reply = new Reply(VARIANT, config, stats);
    }

    /**
     * Lets a virtual thread wait for a socket, a millisecond and for nobody. The JVM opens its poller's descriptors at the first
     * such wait, and it tries once: had a crowd taken the last descriptor by then, no thread could ever wait for a socket, and
     * each connection would end behind its first reply with a NoClassDefFoundError (sun.nio.ch.Poller's static initializer).
     */
    private static void openPoller() throws IOException {
        try (DatagramSocket nobody = new DatagramSocket(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))) {
            nobody.setSoTimeout(1);
            Thread.startVirtualThread(() -> {
                try {
                    nobody.receive(new DatagramPacket(new byte[1], 1));
                } catch (IOException expected) { // SocketTimeoutException
                }
            }).join();
        } catch (InterruptedException e) { // nobody interrupts it
            Thread.currentThread().interrupt();
        }
    }

    // ---- accepting: the only loop, in the only thread of the kernel's kind that is ours ------------------

    private void run() throws IOException, InterruptedException {
        main = Thread.currentThread();
        startVirtual(this::watchSenders);
        while (!wantsStop) {
            selector.select(key -> {}); // what is ready is asked of accept() itself
            if (!acceptAll())
                Thread.sleep(ACCEPT_BACKOFF);
        }
        drain();
    }

    /** Returns false when there is nothing left to accept with: EMFILE, ENFILE, ENOBUFS, ENOMEM. */
    private boolean acceptAll() {
        while (true) {
            SocketChannel channel;
            try {
                channel = listener.accept();
            } catch (IOException e) {
                stats.count(e);
                return false;
            }
            if (channel == null)
                return true;
            stats.accepted.incrementAndGet();
            stats.active.incrementAndGet();
            Connection connection = new Connection(this, channel);
            connections.add(connection);
            startVirtual(connection);
        }
    }

    /** The JVM does not count virtual threads, so whoever starts one does. */
    void startVirtual(Runnable work) {
        stats.virtualThreads.incrementAndGet();
        Thread.startVirtualThread(() -> {
            try {
                work.run();
            } finally {
                stats.virtualThreads.decrementAndGet();
            }
        });
    }

    void forget(Connection connection) {
        connections.remove(connection);
        stats.active.decrementAndGet();
        if (isDraining)
            LockSupport.unpark(main);
    }

    static void close(Closeable one) {
        try {
            one.close();
        } catch (IOException ignored) { // best effort: close(2) frees the descriptor even when it complains
        }
    }

    // ---- what several connections share --------------------------------------------------------------------

    synchronized void hold(Connection connection) {
        held.add(connection);
    }

    synchronized void leave(Connection connection) {
        held.remove(connection);
    }

    private synchronized int countHeld() {
        return held.size();
    }

    /** Wakes everybody in /hold. Returns how many. */
    int release() {
        Set<Connection> released;
        synchronized (this) {
            released = held;
            held = new HashSet<>();
        }
        released.forEach(Connection::release);
        return released.size();
    }

    /**
     * A blocking write has no time limit in Java. This thread looks at every connection once a second and closes
     * those whose client has not taken what it was sent; their write then fails.
     */
    private void watchSenders() {
        try {
            while (true) {
                Thread.sleep(Duration.ofSeconds(1));
                long nowNs = System.nanoTime();
                connections.forEach(connection -> connection.closeIfStuck(nowNs));
            }
        } catch (InterruptedException e) { // nobody interrupts it
            Thread.currentThread().interrupt();
        }
    }

    // ---- shutdown --------------------------------------------------------------------------------------

    boolean isDraining() {
        return isDraining;
    }

    /** Takes in who is queued, closes the listener and every idle connection. The rest may finish. */
    private void drain() {
        isDraining = true; // before the look at who is idle: whoever becomes idle later sees it
        List<Connection> present = List.copyOf(connections);
        acceptAll(); // closing the listener would reset them
        close(selector); // or the listener would stay open until the next select()
        close(listener);
        present.forEach(Connection::endIfIdle);
        while (!connections.isEmpty())
            LockSupport.park(this);
    }

    /**
     * Runs when SIGTERM or SIGINT has begun the JVM's shutdown, which would end with code 143 or 130. halt() ends it with 0,
     * also when whoever is left has had LAB_DRAIN_S.
     */
    private void stop(Thread main, long drainMs) {
        wantsStop = true;
        selector.wakeup();
        try {
            if (drainMs > 0) // 0 would mean for ever
                main.join(drainMs);
        } catch (InterruptedException e) { // nobody interrupts a hook
            Thread.currentThread().interrupt();
        }
        Runtime.getRuntime().halt(0);
    }

    public static void main(String[] args) throws InterruptedException {
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
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(main, config.drainMs())));
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
