import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.regex.Pattern;

/**
 * What the environment says, checked: a bad value ends the process with one line and exit code 2.
 *
 * @param drainMs how long those in flight have after SIGTERM
 * @param nonce which run started this server, or null
 * @param instance its number among those that share the port, or null
 */
record Config(InetSocketAddress address, int backlog, long drainMs, boolean reusePort, String nonce, Integer instance) {

    static Config read() {
        return new Config(
                new InetSocketAddress(readHost(), readInt("LAB_PORT", 8080, 1, 65535)),
                readInt("LAB_BACKLOG", 4096, 1, 1 << 20),
                readSecondsAsMs("LAB_DRAIN_S", 5),
                readInt("LAB_REUSEPORT", 0, 0, 1) == 1,
                readNonce(),
                System.getenv("LAB_INSTANCE") == null ? null : (Integer) readInt("LAB_INSTANCE", 0, 0, 9999));
    }

    private static void refuse(String name, String value, String expected) {
        System.err.println(name + ": expected " + expected + ", got '" + value + "'");
        System.exit(2);
    }

    private static int readInt(String name, int fallback, int least, int most) {
        String text = System.getenv(name);
        if (text == null)
            return fallback;
        if (text.matches("[0-9]{1,9}")) {
            int value = Integer.parseInt(text);
            if (value >= least && value <= most)
                return value;
        }
        refuse(name, text, "a whole number from " + least + " to " + most);
        return 0;
    }

    private static long readSecondsAsMs(String name, int fallback) {
        String text = System.getenv(name);
        if (text == null)
            return fallback * 1000L;
        if (text.matches("[0-9]{1,9}(\\.[0-9]{1,9})?")) {
            double value = Double.parseDouble(text);
            if (value <= 3600)
                return Math.round(value * 1000);
        }
        refuse(name, text, "seconds from 0 to 3600");
        return 0;
    }

    private static InetAddress readHost() {
        String text = System.getenv("LAB_HOST");
        if (text == null)
            text = "0.0.0.0";
        // Split by hand: InetAddress.getByName() would ask a name server, and takes "127.1" too.
        if (Pattern.matches("[0-9]{1,3}(\\.[0-9]{1,3}){3}", text)) {
            byte[] bytes = new byte[4];
            String[] parts = text.split("\\.");
            boolean isRight = true;
            for (int i = 0; i < 4; i++) {
                isRight &= Integer.parseInt(parts[i]) <= 255;
                bytes[i] = (byte) Integer.parseInt(parts[i]);
            }
            try {
                if (isRight)
                    return InetAddress.getByAddress(bytes);
            } catch (UnknownHostException impossible) { // four bytes are an address
                throw new AssertionError(impossible);
            }
        }
        refuse("LAB_HOST", text, "an IPv4 address");
        return null;
    }

    private static String readNonce() {
        String text = System.getenv("LAB_NONCE");
        // Nothing but hex digits: it goes into a header as it is.
        if (text != null && !text.matches("[0-9a-f]{16,64}"))
            refuse("LAB_NONCE", text, "16 to 64 hex digits in lower case");
        return text;
    }
}
