/* Reads the three fields that say how an answer ends: Content-Length, Transfer-Encoding, Connection.
 *
 * All three are lists (RFC 9110, 5.6.1), so that a repeated field, a list in one line and a folded line are one thing.
 */
#include "answer_parts.h"

const unsigned char ANSWER_TOKEN[256] = {
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
        while (same < len && ANSWER_TOKEN[name[same]] == (unsigned char)known[i].text[same])
            same++;
        if (same == len)
            return known[i].field;
    }
    return OTHER_FIELD;
}

enum field answer_begin_field(struct answer *a, bytes_at name, size_t len)
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

bool answer_end_element(struct answer *a)
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

bool answer_take_value_byte(struct answer *a, unsigned char c)
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
        return answer_end_element(a);
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
    if (a->field == TRANSFER_ENCODING && c == ';') {
        if (a->element == BEFORE_ELEMENT)
            return false; /* parameters of nothing */
        a->element = IN_PARAMETER;
        return true;
    }
    if (a->element == BEFORE_ELEMENT)
        a->word_len = 0;
    else if (a->element == AFTER_ELEMENT)
        a->word_len = sizeof a->word; /* two words are none that we know */
    a->element = IN_ELEMENT;
    keep(a, ANSWER_TOKEN[c]);
    return true;
}
