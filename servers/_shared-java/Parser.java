/**
 * From bytes to whole requests (RFC 9112): the head (Head.java), then the body behind it. No I/O.
 *
 * Input may arrive in any pieces: what has been searched is not searched again. Bodies are handed out whole, so they are
 * limited to 64 KiB. What could be read in two ways is refused, not guessed.
 */
final class Parser {
    static final int HEAD_MAX = 16 * 1024, BODY_MAX = 64 * 1024;

    static final int MORE = 0, DONE = 1; // a step's result; another number is the status of a refusal

    enum Parsed { NOTHING, CONTINUE, REQUEST }

    private enum Stage { HEAD, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER }

    private static final int CHUNK_LINE_MAX = 256; // a size and its extensions; nobody sends longer ones in good faith

    Request request; // the one under way; after REQUEST the one to answer

    // Of the request under way; places count from input.start.
    private Stage stage = Stage.HEAD;
    private final Head head = new Head();
    private int raw; // up to here it is decoded
    private int bodyLen, chunkLeft, trailerLen;
    private boolean hasToldContinue;

    boolean isInBody() {
        return stage != Stage.HEAD;
    }

    /** Takes at most one request off `input`. CONTINUE: the client waits for "100 Continue". */
    Parsed parse(Buffer input) {
        if (input.isEmpty())
            return Parsed.NOTHING;
        int step = advance(input);
        if (step == MORE) {
            boolean tell = isInBody() && head.expectsContinue && !hasToldContinue && input.size() == head.len;
            hasToldContinue |= tell;
            return tell ? Parsed.CONTINUE : Parsed.NOTHING;
        }
        if (step == DONE) {
            request.body = input.data;
            request.bodyAt = input.start + head.len;
            request.bodyLen = bodyLen;
            input.skip(raw);
        } else {
            request.fail(step);
            request.isBroken = true;
            request.keepAlive = false;
            input.skip(input.size());
        }
        stage = Stage.HEAD;
        head.reset();
        raw = bodyLen = chunkLeft = trailerLen = 0;
        hasToldContinue = false;
        return Parsed.REQUEST;
    }

    private int advance(Buffer input) {
        if (stage == Stage.HEAD) {
            int step = head.findEnd(input.data, input.start, input.end);
            while (step == DONE && head.len == 2) { // an empty line before a request is skipped (RFC 9112, 2.2)
                input.skip(2);
                head.reset();
                step = head.findEnd(input.data, input.start, input.end);
            }
            if (step == MORE)
                return MORE;
            request = new Request();
            if (step == DONE)
                step = head.parse(input.data, input.start, request);
            if (step != DONE)
                return step;
            raw = head.len;
            bodyLen = head.bodyLen;
            stage = head.isChunked ? Stage.CHUNK_SIZE : Stage.LENGTH;
        }
        if (stage == Stage.LENGTH) {
            raw = head.len + bodyLen;
            return input.size() >= raw ? DONE : MORE;
        }
        int step = decodeChunks(input.data, input.start, input.end);
        if (step == MORE) { // close the gap that decoding left, so that framing cannot grow the buffer
            int decodedEnd = head.len + bodyLen;
            System.arraycopy(input.data, input.start + raw, input.data, input.start + decodedEnd, input.size() - raw);
            input.end -= raw - decodedEnd;
            raw = decodedEnd;
        }
        return step;
    }

    /** Decodes in place, so that the body lies whole behind the head. */
    private int decodeChunks(byte[] data, int start, int end) {
        while (true) {
            int at = start + raw, left = end - at;
            if (stage == Stage.CHUNK_DATA) {
                int take = Math.min(left, chunkLeft);
                System.arraycopy(data, at, data, start + head.len + bodyLen, take);
                bodyLen += take;
                chunkLeft -= take;
                raw += take;
                if (chunkLeft > 0)
                    return MORE;
                stage = Stage.CHUNK_END;
                continue;
            }
            if (stage == Stage.CHUNK_END) {
                if ((left > 0 && data[at] != '\r') || (left > 1 && data[at + 1] != '\n'))
                    return 400;
                if (left < 2)
                    return MORE;
                raw += 2;
                stage = Stage.CHUNK_SIZE;
                continue;
            }
            int lf = at; // the end of a size line or of a trailer line
            while (lf < end && data[lf] != '\n')
                lf++;
            if (lf == end) {
                if (stage == Stage.CHUNK_SIZE)
                    return left > CHUNK_LINE_MAX ? 400 : MORE;
                return trailerLen + left > HEAD_MAX ? 431 : MORE;
            }
            if (lf == at || data[lf - 1] != '\r')
                return 400;
            raw += lf + 1 - at;
            if (stage == Stage.CHUNK_SIZE) {
                int step = lf - at > CHUNK_LINE_MAX ? 400 : parseChunkSize(data, at, lf - 1);
                if (step != DONE)
                    return step;
                stage = chunkLeft > 0 ? Stage.CHUNK_DATA : Stage.TRAILER;
                continue;
            }
            if (lf == at + 1) // the empty line behind the trailers
                return DONE;
            trailerLen += lf + 1 - at;
            if (trailerLen > HEAD_MAX)
                return 431;
            if (!Head.isField(data, at, lf - 1)) // trailers are checked and dropped
                return 400;
        }
    }

    private int parseChunkSize(byte[] data, int at, int end) {
        long size = 0;
        int digits = 0;
        for (; at < end; at++, digits++) {
            int digit = Character.digit(data[at], 16);
            if (digit < 0)
                break;
            if (digits == 8) // nine digits: no honest client's
                return 400;
            size = size << 4 | digit;
        }
        if (digits == 0 || (at < end && data[at] != ';'))
            return 400;
        for (; at < end; at++)
            if (Head.isControl(data[at]))
                return 400;
        if (size > BODY_MAX - bodyLen)
            return 413;
        chunkLeft = (int) size;
        return DONE;
    }
}
