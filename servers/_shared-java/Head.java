import static java.nio.charset.StandardCharsets.ISO_8859_1;

/**
 * The head of a request: finds its end, splits it, and keeps what says how long the body is.
 *
 * Strict where a lenient reading could be read differently by another program on the way (RFC 9112, 11.2).
 */
final class Head {
    int len; // with its empty line; 0 while that has not come
    int bodyLen; // from Content-Length
    boolean isChunked, expectsContinue;

    private int scanned; // of an incomplete head
    private boolean hasHost, hasLength, saysClose, saysKeepAlive;

    void reset() {
        len = bodyLen = scanned = 0;
        isChunked = expectsContinue = hasHost = hasLength = saysClose = saysKeepAlive = false;
    }

    /** From line feed to line feed, so a bare one is refused as soon as it arrives. Returns a step of Parser's. */
    int findEnd(byte[] data, int start, int end) {
        for (int at = start + scanned; at < end; at++) {
            if (data[at] != '\n')
                continue;
            if (at == start || data[at - 1] != '\r')
                return 400;
            if (at == start + 1 || data[at - 2] == '\n') { // an empty line
                len = at + 1 - start;
                return len > Parser.HEAD_MAX ? 431 : Parser.DONE;
            }
        }
        scanned = end - start;
        return scanned > Parser.HEAD_MAX ? 431 : Parser.MORE;
    }

    /** @param start where the head begins in `data`; findEnd() has found its end. Returns a step of Parser's. */
    int parse(byte[] data, int start, Request r) {
        int end = start + len - 2; // without the empty line
        int lineEnd = find(data, start, end, '\r');
        int step = parseRequestLine(data, start, lineEnd, r);
        for (int line = lineEnd + 2; step == Parser.DONE && line < end; line = lineEnd + 2) {
            lineEnd = find(data, line, end, '\r');
            step = data[lineEnd + 1] == '\n' && isField(data, line, lineEnd) ? useField(data, line, lineEnd, r) : 400;
        }
        if (step != Parser.DONE)
            return step;
        r.keepAlive = !saysClose && (!r.isHttp10 || saysKeepAlive);
        if (!hasHost && !r.isHttp10)
            return 400;
        if (isChunked && (hasLength || r.isHttp10)) // two framings: the classic way to smuggle a request
            return 400;
        return bodyLen > Parser.BODY_MAX ? 413 : Parser.DONE;
    }

    // ---- the request line ------------------------------------------------------------------------------

    private static int parseRequestLine(byte[] data, int start, int end, Request r) {
        if (data[end + 1] != '\n') // a CR alone
            return 400;
        int methodEnd = start;
        while (isTokenByte(data[methodEnd]))
            methodEnd++;
        int target = methodEnd + 1, targetEnd = target;
        while (targetEnd < end && data[targetEnd] > ' ' && data[targetEnd] < 127)
            targetEnd++;
        int version = targetEnd + 1;
        if (methodEnd == start || data[methodEnd] != ' ' || targetEnd == target || data[targetEnd] != ' ')
            return 400;
        if (end - version != 8 || !startsWith(data, version, "HTTP/") || data[version + 6] != '.')
            return 400;
        if (data[version + 5] != '1' || (data[version + 7] != '1' && data[version + 7] != '0'))
            return 505;
        r.isHttp10 = data[version + 7] == '0';
        // The absolute form: only its path matters here. One that has none asks for "/", which nobody serves.
        if (targetEnd - target > 7 && isWord(data, target, target + 7, "http://"))
            target = find(data, target + 7, targetEnd, '/');
        chooseRoute(data, start, methodEnd, target, targetEnd, r);
        return Parser.DONE;
    }

    private static void chooseRoute(byte[] data, int method, int methodEnd, int path, int end, Request r) {
        int pathEnd = find(data, path, end, '?');
        r.isHead = equals(data, method, methodEnd, "HEAD");
        Request.Route route =
                equals(data, path, pathEnd, "/plain") ? Request.Route.PLAIN
                : equals(data, path, pathEnd, "/delay") ? Request.Route.DELAY
                : equals(data, path, pathEnd, "/hold") ? Request.Route.HOLD
                : equals(data, path, pathEnd, "/echo") ? Request.Route.ECHO
                : equals(data, path, pathEnd, "/release") ? Request.Route.RELEASE
                : equals(data, path, pathEnd, "/healthz") ? Request.Route.HEALTHZ
                : equals(data, path, pathEnd, "/stats") ? Request.Route.STATS
                : Request.Route.FAIL;
        boolean isPost = route == Request.Route.ECHO || route == Request.Route.RELEASE;
        boolean isAllowed = isPost ? equals(data, method, methodEnd, "POST")
                : r.isHead || equals(data, method, methodEnd, "GET");
        r.route = route;
        if (route == Request.Route.FAIL) {
            r.fail(404);
        } else if (!isAllowed) {
            r.allow = isPost ? "POST" : "GET, HEAD";
            r.fail(405);
        } else if (route == Request.Route.DELAY && (r.delayMs = readDelayMs(data, pathEnd + 1, end)) < 0) {
            r.fail(400);
        }
    }

    /** ms=N among the query's pairs; the first one counts. -1: missing, out of range or no number. */
    private static int readDelayMs(byte[] data, int at, int end) {
        while (at < end) {
            int stop = find(data, at, end, '&');
            if (startsWith(data, at, "ms=") && stop > at + 3) {
                int value = 0;
                for (at += 3; at < stop; at++) {
                    if (data[at] < '0' || data[at] > '9' || (value = value * 10 + data[at] - '0') > 120_000)
                        return -1;
                }
                return value;
            }
            at = stop + 1;
        }
        return -1;
    }

    // ---- fields ----------------------------------------------------------------------------------------

    /** Whether this line (without its CR LF) is a name, a colon right behind it, and a value without controls. */
    static boolean isField(byte[] data, int at, int end) {
        int colon = at;
        while (colon < end && isTokenByte(data[colon]))
            colon++;
        if (colon == at || colon == end || data[colon] != ':') // no name, or a folded line, or a space before the colon
            return false;
        for (int i = colon + 1; i < end; i++)
            if (isControl(data[i])) // NUL, another control, or a CR alone
                return false;
        return true;
    }

    private int useField(byte[] data, int at, int end, Request r) {
        int colon = find(data, at, end, ':'), value = colon + 1;
        while (value < end && isSpace(data[value]))
            value++;
        while (end > value && isSpace(data[end - 1]))
            end--;
        switch (colon - at) { // most fields matter to nobody here, and their length tells already
            case 4:
                if (isWord(data, at, colon, "host")) {
                    if (hasHost)
                        return 400;
                    hasHost = true;
                }
                break;
            case 6:
                if (isWord(data, at, colon, "expect")) // RFC 9110, 10.1.1: not in HTTP/1.0
                    expectsContinue = !r.isHttp10 && isWord(data, value, end, "100-continue");
                break;
            case 10:
                if (isWord(data, at, colon, "connection"))
                    useConnection(data, value, end);
                break;
            case 14:
                if (isWord(data, at, colon, "content-length"))
                    return useContentLength(data, value, end);
                break;
            case 17:
                if (isWord(data, at, colon, "transfer-encoding")) {
                    if (isChunked)
                        return 400;
                    if (!isWord(data, value, end, "chunked"))
                        return 501;
                    isChunked = true;
                }
                break;
            default:
        }
        return Parser.DONE;
    }

    private int useContentLength(byte[] data, int at, int end) {
        if (at == end || end - at > 18) // 18 digits cannot overflow 64 bits
            return 400;
        long length = 0;
        for (; at < end; at++) {
            if (data[at] < '0' || data[at] > '9')
                return 400;
            length = length * 10 + data[at] - '0';
        }
        int capped = (int) Math.min(length, Parser.BODY_MAX + 1);
        if (hasLength && capped != bodyLen)
            return 400;
        hasLength = true;
        bodyLen = capped;
        return Parser.DONE;
    }

    private void useConnection(byte[] data, int at, int end) {
        while (at < end) {
            int stop = find(data, at, end, ','), last = stop;
            while (at < last && isSpace(data[at]))
                at++;
            while (last > at && isSpace(data[last - 1]))
                last--;
            saysClose |= isWord(data, at, last, "close");
            saysKeepAlive |= isWord(data, at, last, "keep-alive");
            at = stop + 1;
        }
    }

    // ---- bytes -----------------------------------------------------------------------------------------

    private static final boolean[] TOKEN = new boolean[256]; // tchar of RFC 9110, 5.6.2

    static {
        for (byte c : "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".getBytes(ISO_8859_1))
            TOKEN[c] = true;
    }

    private static boolean isTokenByte(byte c) {
        return TOKEN[c & 0xff];
    }

    static boolean isControl(byte c) {
        return c >= 0 && c < ' ' && c != '\t' || c == 127; // from 128 on a byte is negative, and allowed
    }

    private static boolean isSpace(byte c) {
        return c == ' ' || c == '\t';
    }

    /** Returns where `wanted` is, or `end`. */
    private static int find(byte[] data, int at, int end, char wanted) {
        while (at < end && data[at] != wanted)
            at++;
        return at;
    }

    private static boolean startsWith(byte[] data, int at, String text) {
        for (int i = 0; i < text.length(); i++)
            if (data[at + i] != text.charAt(i))
                return false;
        return true;
    }

    private static boolean equals(byte[] data, int at, int end, String text) {
        return end - at == text.length() && startsWith(data, at, text);
    }

    /** @param word in lower case; the data may be in any */
    private static boolean isWord(byte[] data, int at, int end, String word) {
        if (end - at != word.length())
            return false;
        for (int i = 0; i < word.length(); i++) {
            byte c = data[at + i];
            if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word.charAt(i))
                return false;
        }
        return true;
    }
}
