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

/* One answer being read. Zero it (answer_begin) before the first byte. Small: there is one per connection. `status`,
 * `body_len` and `body_differs` may be read; the rest is answer.c's own. */
struct answer {
    uint64_t length;   /* Content-Length, then what is left of it or of the chunk */
    uint32_t told;     /* the Content-Length being read */
    uint32_t body_len; /* bytes of the body so far, of all chunks */
    uint32_t head_len; /* bytes of the head so far, or of the chunk-size line, or of the trailers */
    uint16_t status;
    uint8_t state, field, element; /* where in the answer, in which field of a head, where in an element of its list */
    uint8_t seen;                  /* bytes of the status line, up to the code */
    uint8_t word_len;              /* of what is kept in `word` */
    bool has_begun, is_http_1_0, says_close, says_keep_alive;
    bool names_length, has_length; /* a Content-Length field came; a number in one */
    bool has_coding, was_chunked, is_chunked; /* Transfer-Encoding: it came; chunked was in it; chunked is its last */
    bool has_no_body, ends_by_close, in_trailers;
    bool body_differs; /* from `expected`, as far as both reach */
    char word[20];     /* a name or a word of a list, because it may be cut; longer ones are none that we know */
};

void answer_begin(struct answer *a);

/* Takes the next bytes. expected: the body to compare with while reading, NULL for none (length is not judged here).
 * *used: how many of the bytes were taken; all of them with ANSWER_MORE. Interim answers (1xx) are skipped. */
enum answer_step answer_feed(struct answer *a, const char *bytes, size_t len, size_t *used, const char *expected,
                             size_t expected_len);

/* The peer closed: whether that completes the answer. */
bool answer_end(struct answer *a);

/* Whether any byte of this answer has come. */
bool answer_begun(const struct answer *a);

/* After ANSWER_DONE: whether the connection may carry another request. */
bool answer_keeps_alive(const struct answer *a);

#endif
