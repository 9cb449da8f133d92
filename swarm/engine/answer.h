/* Reads HTTP/1.1 answers, in whatever pieces they arrive. No sockets, no clock, no allocation.
 *
 * Source: RFC 9112, 4 (status line), 5 (fields), 6.3 (length of the body), 7.1 (chunked). As strict as swarm/http1.py:
 * what one of the two refuses, the other refuses.
 */
#ifndef ANSWER_H
#define ANSWER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ANSWER_HEAD_MAX = 64 * 1024, /* the RFC leaves the limit open; far above what any variant sends */
    ANSWER_BODY_MAX = 16 * 1024 * 1024
};

enum answer_step {
    ANSWER_MORE,     /* all bytes were taken, the answer is not whole yet */
    ANSWER_DONE,     /* whole; `used` bytes belong to it */
    ANSWER_MALFORMED /* not an HTTP/1.1 answer */
};

/* One answer being read. Zero it (answer_begin) before the first byte. Small: there is one per connection. */
struct answer {
    uint64_t length;        /* Content-Length, or what is left of the chunk */
    uint32_t body_len;      /* bytes of the body so far */
    uint32_t head_len;      /* bytes of the head so far, or of the chunk-size or trailer line */
    uint16_t status;
    uint8_t state;
    uint8_t framing;        /* how the body ends */
    uint8_t line_len;       /* of what is kept in `line` */
    bool is_http_1_0, says_close, says_keep_alive, has_length, has_coding, is_chunked;
    bool body_differs;      /* from `expected`, as far as it was compared */
    char line[40];          /* the part of a line that had to be kept, because it was cut */
};

void answer_begin(struct answer *a);

/* Takes the next bytes. expected: the body to compare with while reading, NULL for none (length is not judged here).
 * *used: how many of the bytes were taken; less than len only with ANSWER_DONE. Interim answers (1xx) are skipped. */
enum answer_step answer_feed(struct answer *a, const char *bytes, size_t len, size_t *used, const char *expected,
                             size_t expected_len);

/* The peer closed: whether that completes the answer. */
bool answer_end(struct answer *a);

/* Whether any byte of this answer has come. */
bool answer_begun(const struct answer *a);

/* After ANSWER_DONE: whether the connection may carry another request. */
bool answer_keeps_alive(const struct answer *a);

#endif
