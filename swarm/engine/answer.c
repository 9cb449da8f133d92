/* Turns the bytes of a connection into answers: answer.h.
 *
 * One machine that can be stopped after any byte, so that one piece and many pieces take the same way. It is quick
 * where most bytes are: eight at a time through what nobody reads (reason phrases, unknown fields), memcmp through a
 * sampled body. Of a cut line nothing is kept but a name or a word of up to 20 bytes.
 *
 * Where RFC 9112 leaves a choice, or several:
 *   refused: a bare CR, LF or NUL in a line (2.2, 5); blanks before a colon (5.1) or before the first field (2.2); both
 *     Content-Length and Transfer-Encoding (6.3); Transfer-Encoding in HTTP/1.0 (6.1: faulty framing); chunked twice or
 *     with a parameter (7.1); a minor version above 1, which does not exist
 *   taken: a status line that ends after the code; folded lines (5.2); Content-Length repeated with one value (6.3)
 */
#include "answer_parts.h"

static inline int hex_digit(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes up to `most` bytes of the body; how many. */
static size_t take_body(struct answer *a, bytes_at p, bytes_at end, uint64_t most, const char *expected,
                        size_t expected_len)
{
    size_t len = (size_t)(end - p);
    if (len > most)
        len = (size_t)most;
    if (expected && !a->body_differs && a->body_len < expected_len) {
        size_t left = expected_len - a->body_len;
        a->body_differs = memcmp(p, expected + a->body_len, len < left ? len : left) != 0;
    }
    a->body_len += (uint32_t)len;
    return len;
}

/* Takes what stands between the data of two chunks; the next state. */
static enum state take_chunk_line(struct answer *a, enum state state, bytes_at *at, bytes_at end)
{
    bytes_at p = *at;
    while (p < end) {
        int digit;
        switch (state) {
        case AT_CHUNK_SIZE:
        case IN_CHUNK_SIZE:
            digit = hex_digit(*p);
            if (digit >= 0) {
                a->length = a->length * 16 + (unsigned)digit;
                if (a->length > ANSWER_BODY_MAX - a->body_len)
                    return BROKEN;
                state = IN_CHUNK_SIZE;
            } else if (state == AT_CHUNK_SIZE) {
                return BROKEN;
            } else if (*p == '\r') {
                state = AFTER_CHUNK_SIZE_CR;
            } else if (*p == ';') {
                state = IN_EXTENSION;
            } else if (is_blank(*p)) {
                state = BEFORE_EXTENSION;
            } else {
                return BROKEN;
            }
            p++;
            break;
        case BEFORE_EXTENSION:
            if (*p != ';' && !is_blank(*p))
                return BROKEN;
            if (*p++ == ';')
                state = IN_EXTENSION;
            break;
        case IN_EXTENSION:
            p = skip_text(p, end);
            if (p == end)
                break;
            if (*p++ != '\r')
                return BROKEN;
            state = AFTER_CHUNK_SIZE_CR;
            break;
        case AFTER_CHUNK:
        case AFTER_CHUNK_CR:
            if (*p++ != (state == AFTER_CHUNK ? '\r' : '\n'))
                return BROKEN;
            if (state == AFTER_CHUNK_CR) {
                *at = p;
                return CHUNK_READ;
            }
            state = AFTER_CHUNK_CR;
            break;
        default: /* AFTER_CHUNK_SIZE_CR */
            if (*p++ != '\n')
                return BROKEN;
            *at = p;
            return CHUNK_SIZE_READ;
        }
    }
    *at = p;
    return state;
}

/* A head was read: how the body ends. The next state. */
static enum state begin_body(struct answer *a)
{
    if (a->has_no_body)
        return WHOLE;
    if (a->has_coding) {
        if (a->names_length || a->is_http_1_0)
            return BROKEN;
        a->ends_by_close = !a->is_chunked;
        return a->is_chunked ? AT_CHUNK_SIZE : IN_BODY_TO_CLOSE;
    }
    if (a->names_length)
        return !a->has_length ? BROKEN : a->length ? IN_BODY : WHOLE;
    a->ends_by_close = true;
    return IN_BODY_TO_CLOSE;
}

/* What comes after the part that was just read to its end. The next state. */
static enum state go_on(struct answer *a, enum state read)
{
    a->head_len = 0; /* a head, a chunk-size line and the trailers have the limit each */
    if (read == CHUNK_READ)
        return AT_CHUNK_SIZE;
    if (read == CHUNK_SIZE_READ && a->length)
        return IN_CHUNK;
    if (read == CHUNK_SIZE_READ) {
        a->in_trailers = true;
        a->field = NO_FIELD;
        return AT_LINE;
    }
    if (a->in_trailers)
        return WHOLE;
    if (a->status < 200 && a->status != 101) { /* the real answer follows (RFC 9110, 15.2) */
        answer_begin(a);
        a->has_begun = true;
        return AT_STATUS;
    }
    return begin_body(a);
}

void answer_begin(struct answer *a)
{
    memset(a, 0, sizeof *a);
}

enum answer_step answer_feed(struct answer *a, const char *bytes, size_t len, size_t *used, const char *expected,
                             size_t expected_len)
{
    bytes_at p = (bytes_at)bytes, end = p + len;
    enum state state = a->state;
    a->has_begun = a->has_begun || len > 0;
    while (p < end && state < WHOLE) {
        if (state == IN_BODY || state == IN_CHUNK) {
            size_t taken = take_body(a, p, end, a->length, expected, expected_len);
            p += taken;
            a->length -= taken;
            if (a->length == 0)
                state = state == IN_BODY ? WHOLE : AFTER_CHUNK;
        } else if (state == IN_BODY_TO_CLOSE) {
            p += take_body(a, p, end, ANSWER_BODY_MAX - a->body_len + 1, expected, expected_len);
            if (a->body_len > ANSWER_BODY_MAX)
                state = BROKEN;
        } else {
            bytes_at before = p;
            state = state <= AFTER_LAST_CR ? answer_take_head(a, state, &p, end) : take_chunk_line(a, state, &p, end);
            a->head_len += (uint32_t)(p - before);
            if (a->head_len > ANSWER_HEAD_MAX)
                state = BROKEN;
            else if (state >= HEAD_READ && state < WHOLE)
                state = go_on(a, state);
        }
    }
    a->state = (uint8_t)state;
    *used = (size_t)(p - (bytes_at)bytes);
    return state == WHOLE ? ANSWER_DONE : state == BROKEN ? ANSWER_MALFORMED : ANSWER_MORE;
}

bool answer_end(struct answer *a)
{
    if (a->state == IN_BODY_TO_CLOSE)
        a->state = WHOLE;
    return a->state == WHOLE;
}

bool answer_begun(const struct answer *a)
{
    return a->has_begun;
}

bool answer_keeps_alive(const struct answer *a)
{
    /* RFC 9112, 9.3. After 101 the connection speaks something else. */
    return a->state == WHOLE && !a->says_close && (!a->is_http_1_0 || a->says_keep_alive) && !a->ends_by_close &&
           a->status != 101;
}
