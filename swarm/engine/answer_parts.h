/* What answer.c, answer_head.c and answer_fields.c share: the places an answer can be cut at. Nobody else's. */
#ifndef ANSWER_PARTS_H
#define ANSWER_PARTS_H
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

typedef const unsigned char *bytes_at;

/* What a name may be made of (RFC 9110, 5.6.2): the entry of a letter is the small letter; 0: no part of a name. */
extern const unsigned char ANSWER_TOKEN[256];

static inline bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static inline bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
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

/* Takes what belongs to a head or to trailers, from *at; the next state. */
enum state answer_take_head(struct answer *a, enum state state, bytes_at *at, bytes_at end);

/* A field's name has been read: what it means to us. */
enum field answer_begin_field(struct answer *a, bytes_at name, size_t len);

/* One byte of the value of a field that is read, line ends excluded. False: it makes the answer malformed. */
bool answer_take_value_byte(struct answer *a, unsigned char c);

/* The element of a list is over. False: it makes the answer malformed. */
bool answer_end_element(struct answer *a);

#endif
