import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Turns an answered request into bytes. One for all connections; may be used by several threads. */
final class Reply {
    private static final byte[] OK = bytes("HTTP/1.1 200 OK\r\n");
    private static final byte[] PLAIN_BODY = bytes("Hello, world!");
    private static final byte[] PLAIN_FIELDS = bytes("Content-Type: text/plain\r\nContent-Length: 13\r\n");
    private static final byte[] CLOSE = bytes("Connection: close\r\n"), KEEP_ALIVE = bytes("Connection: keep-alive\r\n");
    private static final byte[] END = bytes("\r\n");
    private static final byte[] CONTINUE = bytes("HTTP/1.1 100 Continue\r\n\r\n");
    private static final byte[] NONE = new byte[0];
    private static final byte[] HEALTHY = bytes("ok\n");

    private final String variant;
    private final byte[] nonceLine;
    private final Stats stats;

    Reply(String variant, Config config, Stats stats) {
        this.variant = variant;
        this.nonceLine = config.nonce() == null ? NONE : bytes("Lab-Nonce: " + config.nonce() + "\r\n");
        this.stats = stats;
    }

    /** @param keepAlive what the reply promises: never more than r.keepAlive */
    void put(Buffer out, Request r, boolean keepAlive) {
        switch (r.route) {
            case PLAIN, DELAY, HOLD -> {
                out.put(OK).put(serverAndDate()).put(PLAIN_FIELDS);
                finish(out, r, keepAlive, PLAIN_BODY, 0, PLAIN_BODY.length);
            }
            case ECHO -> putWhole(out, OK, r, keepAlive, "application/octet-stream", NONE, r.body, r.bodyAt, r.bodyLen);
            case HEALTHZ -> putWhole(out, OK, r, keepAlive, "text/plain", nonceLine, HEALTHY, 0, HEALTHY.length);
            case STATS -> putText(out, r, keepAlive, stats.render());
            case RELEASE -> throw new IllegalArgumentException("putReleased() answers it");
            case FAIL -> {
                byte[] allow = r.status == 405 ? bytes("Allow: " + r.allow + "\r\n") : NONE;
                putWhole(out, statusLine(r.status), r, keepAlive, "text/plain", allow, NONE, 0, 0);
            }
        }
    }

    void putReleased(Buffer out, Request r, boolean keepAlive, int released) {
        putText(out, r, keepAlive, "{\"released\": " + released + "}");
    }

    void putContinue(Buffer out) {
        out.put(CONTINUE);
    }

    private void putText(Buffer out, Request r, boolean keepAlive, String json) {
        byte[] body = bytes(json);
        putWhole(out, OK, r, keepAlive, "application/json", NONE, body, 0, body.length);
    }

    private void putWhole(
            Buffer out, byte[] status, Request r, boolean keepAlive, String type, byte[] line, byte[] body, int at, int len) {
        out.put(status).put(serverAndDate()).put(line);
        out.put(bytes("Content-Type: " + type + "\r\nContent-Length: ")).putNumber(len).put(END);
        finish(out, r, keepAlive, body, at, len);
    }

    private static void finish(Buffer out, Request r, boolean keepAlive, byte[] body, int at, int len) {
        if (!keepAlive)
            out.put(CLOSE);
        else if (r.isHttp10)
            out.put(KEEP_ALIVE);
        out.put(END);
        if (!r.isHead)
            out.put(body, at, len);
    }

    // ---- Server and Date, rebuilt once per second: formatting a date costs more than the rest of a small reply ----

    private record Stamp(long second, byte[] text) {}

    // English names whatever the locale; RFC 9110, 5.6.7.
    private static final DateTimeFormatter DATE =
            DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.ENGLISH).withZone(ZoneOffset.UTC);

    private volatile Stamp stamp = new Stamp(-1, NONE);

    private byte[] serverAndDate() {
        long second = System.currentTimeMillis() / 1000;
        Stamp last = stamp;
        if (last.second != second) // two threads may both do this: the same bytes twice
            stamp = last = new Stamp(second,
                    bytes("Server: " + variant + "\r\nDate: " + DATE.format(Instant.ofEpochSecond(second)) + "\r\n"));
        return last.text;
    }

    private static byte[] statusLine(int status) {
        return bytes("HTTP/1.1 " + status + switch (status) {
            case 404 -> " Not Found\r\n";
            case 405 -> " Method Not Allowed\r\n";
            case 413 -> " Content Too Large\r\n";
            case 431 -> " Request Header Fields Too Large\r\n";
            case 501 -> " Not Implemented\r\n";
            case 505 -> " HTTP Version Not Supported\r\n";
            default -> " Bad Request\r\n";
        });
    }

    private static byte[] bytes(String text) {
        return text.getBytes(ISO_8859_1);
    }
}
