/* Turn bytes into requests: an incremental HTTP/1.x parser (RFC 9112) that does no I/O.
 *
 * Strict where a lenient reading could be read differently by another program on the way: what is
 * ambiguous gets 400, not a guess. Bodies are handed out whole, so they are limited to 64 KiB.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

enum {
    HTTP_HEAD_MAX = 16 * 1024, /* request line and fields; beyond: 431 */
    HTTP_BODY_MAX = 64 * 1024, /* beyond: 413 */
    HTTP_DELAY_MAX_MS = 120000,
    HTTP_HEAD_TIMEOUT_MS = 10000, /* from accept or a request's first byte to the end of its head */
    HTTP_BODY_TIMEOUT_MS = 30000, /* from there to the end of its body */
    HTTP_SEND_TIMEOUT_MS = 30000, /* how long a client may refuse to read */
    HTTP_LINGER_MS = 2000,        /* how long input is discarded after a reply that ends a broken connection */
    HTTP_INPUT_MAX = 96 * 1024,   /* the longest request, plus room to read pipelined ones */
};

enum route { ROUTE_FAIL, ROUTE_PLAIN, ROUTE_DELAY, ROUTE_HOLD, ROUTE_RELEASE, ROUTE_ECHO, ROUTE_HEALTHZ, ROUTE_STATS };

struct request {
    enum route route;
    int status;        /* with ROUTE_FAIL */
    const char *allow; /* with status 405 */
    int delay_ms;      /* with ROUTE_DELAY */
    bool keep_alive;
    bool is_broken; /* what follows cannot be told apart: reply, discard the rest, close */
    bool is_head;
    bool is_http_1_0;
    const char *body; /* inside the input buffer, until it is next written to */
    size_t body_len;
};

enum stage { STAGE_HEAD, STAGE_LENGTH, STAGE_CHUNK_SIZE, STAGE_CHUNK_DATA, STAGE_CHUNK_END, STAGE_TRAILER };

/* One per connection; all zero to begin with. Offsets count from the request's first byte. */
struct parser {
    enum stage stage;
    uint32_t scanned;       /* of the head: searched for its end so far */
    uint32_t head_len;
    uint32_t raw;           /* chunked: where the undecoded bytes begin */
    uint32_t body_len;      /* decoded so far, or the Content-Length */
    uint32_t chunk_left;
    uint32_t trailer_len;
    bool has_host, has_length, is_chunked, says_close, says_keep_alive, expects_continue, told_continue;
    struct request request;
};

enum parsed {
    PARSED_NOTHING,  /* read more, then call again */
    PARSED_CONTINUE, /* send "100 Continue", then call again */
    PARSED_REQUEST,  /* `request` is filled in and taken off the input */
};

enum parsed http_parse(struct parser *parser, struct buffer *in, struct request *request);

/* True between a head and the end of its body: the body's timeout applies. */
static inline bool http_in_body(const struct parser *parser) { return parser->stage != STAGE_HEAD; }
