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
#define _DEFAULT_SOURCE /* endian.h */
#include "answer.h"

#include <endian.h>
#include <string.h>

enum state {
    AT_STATUS = 0, /* the status line up to the code; `seen` bytes of it have come */
    AFTER_CODE,
    IN_REASON,
    AFTER_STATUS_CR,
    AT_LINE, /* the first byte of a field, of its continuation, or of the empty line */
    IN_NAME,
    IN_VALUE,
    AFTER_VALUE_CR,
    AFTER_LAST_CR,
    IN_BODY,
    IN_BODY_TO_CLOSE,
    AT_CHUNK_SIZE, /* before its first digit */
    IN_CHUNK_SIZE,
    BEFORE_EXTENSION, /* blanks came after the size: only a semicolon may follow */
    IN_EXTENSION,
    AFTER_CHUNK_SIZE_CR,
    IN_CHUNK,
    AFTER_CHUNK,
    AFTER_CHUNK_CR,
    HEAD_READ, /* these three only inside one call */
    CHUNK_SIZE_READ,
    CHUNK_READ,
    WHOLE,
    BROKEN
};

/* What the field being read means to us. */
enum field { NO_FIELD = 0, OTHER_FIELD, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION };

/* Where in an element of a list (RFC 9110, 5.6.1): those three fields are lists. */
enum element { BEFORE_ELEMENT = 0, IN_ELEMENT, AFTER_ELEMENT, IN_PARAMETER, IN_QUOTES, AFTER_BACKSLASH };

#define STATUS_LINE_START "HTTP/1.1 "
enum { CODE_AT = sizeof STATUS_LINE_START - 1, CODE_END = CODE_AT + 3, MINOR_AT = 7 };

/* RFC 9110, 5.6.2: what a name is made of; a letter's entry is the small letter. */
static const unsigned char TOKEN[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|', ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h',
    ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
    ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',
    ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
};

typedef const unsigned char *bytes_at;

static inline bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static inline bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static inline int hex_digit(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The first CR, LF or NUL, or the end. */
static inline bytes_at skip_text(bytes_at p, bytes_at end)
{
    const uint64_t ones = 0x0101010101010101u;
    for (;;) {
        while (end - p >= 8) {
            uint64_t word;
            memcpy(&word, p, 8);
            word = le64toh(word);
            /* The lowest high bit set marks the first byte below a blank; those above it may be wrong by the borrow. */
            uint64_t below = (word - ones * ' ') & ~word & ones * 0x80;
            if (below) {
                p += __builtin_ctzll(below) / 8;
                break;
            }
            p += 8;
        }
        while (p < end && *p >= ' ')
            p++;
        if (p == end || *p == '\r' || *p == '\n' || *p == 0)
            return p;
        p++; /* a tab, or a control character: harmless here (RFC 9110, 5.5) */
    }
}

/* Adds a byte to the word kept. One that is too long to be known fills it up and so equals none. */
static inline void keep(struct answer *a, unsigned char small)
{
    if (a->word_len < sizeof a->word)
        a->word[a->word_len++] = (char)small;
}

static inline bool word_is(const struct answer *a, const char *text, size_t len)
{
    return a->word_len == len && memcmp(a->word, text, len) == 0;
}

/* The meaning of a name, given in any case. */
static enum field known_field(bytes_at name, size_t len)
{
    static const struct {
        char text[18];
        uint8_t len, field;
    } known[] = {
        {"connection", 10, CONNECTION},
        {"content-length", 14, CONTENT_LENGTH},
        {"transfer-encoding", 17, TRANSFER_ENCODING},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].len != len)
            continue;
        size_t same = 0;
        while (same < len && TOKEN[name[same]] == (unsigned char)known[i].text[same])
            same++;
        if (same == len)
            return known[i].field;
    }
    return OTHER_FIELD;
}

/* The element of a list is over. False: it makes the answer malformed. */
static bool end_element(struct answer *a)
{
    enum element element = a->element;
    a->element = BEFORE_ELEMENT;
    if (element == BEFORE_ELEMENT)
        return true; /* empty ones are ignored (RFC 9110, 5.6.1.2) */
    switch (a->field) {
    case CONTENT_LENGTH:
        if (a->has_length && a->length != a->told)
            return false;
        a->has_length = true;
        a->length = a->told;
        return true;
    case TRANSFER_ENCODING:
        if (element == IN_QUOTES || element == AFTER_BACKSLASH)
            return false;
        a->is_chunked = word_is(a, "chunked", 7);
        if (a->is_chunked && (a->was_chunked || element == IN_PARAMETER))
            return false;
        a->was_chunked = a->was_chunked || a->is_chunked;
        return true;
    default:
        a->says_close = a->says_close || word_is(a, "close", 5);
        a->says_keep_alive = a->says_keep_alive || word_is(a, "keep-alive", 10);
        return true;
    }
}

/* One byte of the value of a field that is read, line ends excluded. False: malformed. */
static bool take_value_byte(struct answer *a, unsigned char c)
{
    if (a->element == IN_QUOTES) {
        a->element = c == '"' ? IN_PARAMETER : c == '\\' ? AFTER_BACKSLASH : IN_QUOTES;
        return true;
    }
    if (a->element == AFTER_BACKSLASH) {
        a->element = IN_QUOTES;
        return true;
    }
    if (c == ',')
        return end_element(a);
    if (a->element == IN_PARAMETER) {
        if (c == '"')
            a->element = IN_QUOTES;
        return true;
    }
    if (is_blank(c)) {
        if (a->element == IN_ELEMENT)
            a->element = AFTER_ELEMENT;
        return true;
    }
    if (a->field == CONTENT_LENGTH) {
        if (a->element == AFTER_ELEMENT || !is_digit(c))
            return false;
        a->told = (a->element == BEFORE_ELEMENT ? 0 : a->told * 10) + (uint32_t)(c - '0');
        a->element = IN_ELEMENT;
        return a->told <= ANSWER_BODY_MAX;
    }
    if (a->field == TRANSFER_ENCODING && c == ';' && a->element != BEFORE_ELEMENT) {
        a->element = IN_PARAMETER;
        return true;
    }
    if (a->element == BEFORE_ELEMENT)
        a->word_len = 0;
    else if (a->element == AFTER_ELEMENT)
        a->word_len = sizeof a->word; /* two words are none that we know */
    a->element = IN_ELEMENT;
    keep(a, TOKEN[c]);
    return true;
}

static enum field begin_field(struct answer *a, bytes_at name, size_t len)
{
    if (a->in_trailers)
        return OTHER_FIELD;
    enum field field = known_field(name, len);
    a->element = BEFORE_ELEMENT;
    if (field == CONNECTION)
        return field;
    if (field == OTHER_FIELD || a->has_no_body) /* RFC 9112, 6.3: no body, whatever the fields say */
        return OTHER_FIELD;
    if (field == CONTENT_LENGTH)
        a->names_length = true;
    else
        a->has_coding = true;
    return field;
}

/* A byte of the status line up to the code's last digit. */
static bool take_status_byte(struct answer *a, unsigned char c)
{
    unsigned at = a->seen++;
    if (at >= CODE_AT) {
        a->status = (uint16_t)(a->status * 10 + (c - '0'));
        return is_digit(c) && (at > CODE_AT || c != '0');
    }
    if (at == MINOR_AT) {
        a->is_http_1_0 = c == '0';
        return c == '0' || c == '1';
    }
    return c == (unsigned char)STATUS_LINE_START[at];
}

/* Takes what belongs to a head or to trailers; the next state. */
static enum state take_head(struct answer *a, enum state state, bytes_at *at, bytes_at end)
{
    bytes_at p = *at, start;
    while (p < end) {
        switch (state) {
        case AT_STATUS:
            if (a->seen == 0 && end - p >= CODE_END && memcmp(p, STATUS_LINE_START, CODE_AT) == 0) {
                a->seen = CODE_AT; /* the usual case at once; only the digits are left */
                p += CODE_AT;
            }
            while (p < end && a->seen < CODE_END)
                if (!take_status_byte(a, *p++))
                    return BROKEN;
            if (a->seen < CODE_END)
                break;
            a->has_no_body = a->status < 200 || a->status == 204 || a->status == 304;
            state = AFTER_CODE;
            break;
        case AFTER_CODE:
            if (*p != ' ' && *p != '\r')
                return BROKEN;
            state = *p++ == ' ' ? IN_REASON : AFTER_STATUS_CR;
            break;
        case IN_REASON:
            p = skip_text(p, end);
            if (p == end)
                break;
            if (*p++ != '\r')
                return BROKEN;
            state = AFTER_STATUS_CR;
            break;
        case AFTER_STATUS_CR:
        case AFTER_VALUE_CR:
            if (*p++ != '\n')
                return BROKEN;
            state = AT_LINE;
            break;
        case AT_LINE:
            if (is_blank(*p)) { /* goes on with the field before (RFC 9112, 5.2), as if by a blank */
                if (a->field == NO_FIELD || (a->field != OTHER_FIELD && !take_value_byte(a, ' ')))
                    return BROKEN;
                p++;
                state = IN_VALUE;
                break;
            }
            if (a->field > OTHER_FIELD && !end_element(a))
                return BROKEN;
            a->word_len = 0;
            if (*p == '\r') {
                p++;
                state = AFTER_LAST_CR;
                break;
            }
            if (!TOKEN[*p])
                return BROKEN;
            state = IN_NAME;
            break;
        case IN_NAME:
            start = p;
            while (p < end && TOKEN[*p])
                p++;
            if (p < end && *p != ':')
                return BROKEN;
            if (p < end && a->word_len == 0) {
                a->field = begin_field(a, start, (size_t)(p - start));
            } else {
                while (start < p)
                    keep(a, *start++);
                if (p == end)
                    break;
                a->field = begin_field(a, (bytes_at)a->word, a->word_len);
            }
            p++;
            state = IN_VALUE;
            break;
        case IN_VALUE:
            if (a->field == OTHER_FIELD)
                p = skip_text(p, end);
            else
                while (p < end && *p != '\r') {
                    if (*p == '\n' || *p == 0 || !take_value_byte(a, *p))
                        return BROKEN;
                    p++;
                }
            if (p == end)
                break;
            if (*p++ != '\r')
                return BROKEN;
            state = AFTER_VALUE_CR;
            break;
        default: /* AFTER_LAST_CR */
            if (*p++ != '\n')
                return BROKEN;
            *at = p;
            return HEAD_READ;
        }
    }
    *at = p;
    return state;
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
            state = state <= AFTER_LAST_CR ? take_head(a, state, &p, end) : take_chunk_line(a, state, &p, end);
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
