// bare-java: what a model costs when nothing else is done; BARE_MODEL says which. Every request gets the contract's answer to
// GET /plain, whatever it asked: no parser, no limits of time, no counters, no drain.

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

public final class Server {
    private static final int INPUT_BYTES = 4096, END = 0x0d0a0d0a; // CR LF CR LF
    private static final DateTimeFormatter DATE = DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.ENGLISH);
    private static volatile ByteBuffer hello; // the whole reply, made anew each second

    private static void renew() {
        byte[] text = ("HTTP/1.1 200 OK\r\nServer: bare-java\r\nDate: " + DATE.format(ZonedDateTime.now(ZoneOffset.UTC))
                + "\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!").getBytes(ISO_8859_1);
        hello = ByteBuffer.allocateDirect(text.length).put(text).flip();
    }

    private static void renewForEver() {
        try {
            while (true) {
                Thread.sleep(1000);
                renew();
            }
        } catch (InterruptedException e) { // nobody interrupts it
            Thread.currentThread().interrupt();
        }
    }

    /** Reads once and answers what ends there. Returns false when the client has left. */
    private static boolean converse(SocketChannel channel, ByteBuffer input) throws IOException {
        input.clear();
        int len = channel.read(input);
        if (len >= 4 && input.getInt(len - 4) == END)
            channel.write(hello.duplicate());
        return len >= 0;
    }

    private static void close(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException ignored) { // best effort
        }
    }

    private static void talk(SocketChannel channel) {
        ByteBuffer input = ByteBuffer.allocateDirect(INPUT_BYTES);
        try {
            while (converse(channel, input)) { }
        } catch (IOException gone) { // ECONNRESET, EPIPE
        } finally {
            close(channel);
        }
    }

    /** A virtual thread per connection. */
    private static void serveVirtual(ServerSocketChannel listener) throws IOException {
        while (true) {
            SocketChannel channel = listener.accept();
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            Thread.startVirtualThread(() -> talk(channel));
        }
    }

    /** One Selector loop. */
    private static void serveNio(ServerSocketChannel listener) throws IOException {
        listener.configureBlocking(false);
        Selector selector = Selector.open();
        SelectionKey listenKey = listener.register(selector, SelectionKey.OP_ACCEPT);
        ByteBuffer input = ByteBuffer.allocateDirect(INPUT_BYTES);
        while (true) {
            selector.select(key -> {
                try {
                    if (key != listenKey) {
                        SocketChannel channel = (SocketChannel) key.channel();
                        if (!converse(channel, input))
                            close(channel);
                        return;
                    }
                    for (SocketChannel channel; (channel = listener.accept()) != null;) {
                        channel.configureBlocking(false);
                        channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                        channel.register(selector, SelectionKey.OP_READ);
                    }
                } catch (IOException gone) {
                    if (key != listenKey)
                        close((SocketChannel) key.channel());
                }
            });
        }
    }

    private static ServerSocketChannel listen(Config config, int port) throws IOException {
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        return listener.bind(new InetSocketAddress(config.address().getAddress(), port), config.backlog());
    }

    public static void main(String[] args) throws IOException {
        String model = String.valueOf(System.getenv("BARE_MODEL"));
        if (!model.matches("virtual|nio|train")) {
            System.err.println("BARE_MODEL: expected virtual or nio, got '" + model + "'");
            System.exit(2);
        }
        Config config = Config.read();
        int port = config.address().getPort();
        renew();
        Thread.ofPlatform().daemon().start(Server::renewForEver);
        ServerSocketChannel listener = listen(config, port);
        System.err.printf("bare-java: listening on %s:%d, backlog %d%n", config.address().getHostString(), port, config.backlog());
        switch (model) {
            case "virtual" -> serveVirtual(listener);
            case "nio" -> serveNio(listener);
            default -> train(listener, listen(config, port + 1));
        }
    }

    // ---- while the image is built: both models are used, so that its one cache knows both ----------------

    private static void train(ServerSocketChannel first, ServerSocketChannel second) throws IOException {
        start(Server::serveNio, first);
        start(Server::serveVirtual, second);
        for (int n = 0; n < 20; n++) {
            ask(first.getLocalAddress());
            ask(second.getLocalAddress());
        }
        System.exit(0);
    }

    private interface Model {
        void serve(ServerSocketChannel listener) throws IOException;
    }

    private static void start(Model model, ServerSocketChannel listener) {
        Thread.ofPlatform().daemon().start(() -> {
            try {
                model.serve(listener);
            } catch (IOException e) {
                System.err.println("bare-java: " + e.getMessage());
            }
        });
    }

    private static void ask(SocketAddress address) throws IOException {
        ByteBuffer question = ByteBuffer.wrap("GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(ISO_8859_1));
        ByteBuffer answer = ByteBuffer.allocate(INPUT_BYTES);
        try (SocketChannel channel = SocketChannel.open(address)) {
            for (int n = 0; n < 1000; n++) {
                channel.write(question.rewind());
                channel.read(answer.clear()); // one segment
            }
        }
    }
}
