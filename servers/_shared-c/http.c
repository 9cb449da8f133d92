/* From bytes to whole requests: the head (head.c), then the body behind it. */
#include "http.h"

#include <string.h>

#include "head.h"

enum { CHUNK_LINE_MAX = 256 }; /* a size and its extensions; nobody sends longer ones in good faith */

static int parse_chunk_size(struct parser *p, const char *at, const char *line_end)
{
    uint32_t size = 0;
    const char *c = at;
    for (;; c++) {
        uint32_t digit;
        if (*c >= '0' && *c <= '9')
            digit = (uint32_t)(*c - '0');
        else if ((*c | 32) >= 'a' && (*c | 32) <= 'f') /* | 32 makes a letter small */
            digit = (uint32_t)((*c | 32) - 'a' + 10);
        else
            break;
        if (c - at >= 8) /* nine digits no longer fit 32 bits */
            return 400;
        size = size << 4 | digit;
    }
    if (c == at)
        return 400;
    if (c < line_end && *c != ';')
        return 400;
    for (; c < line_end; c++) {
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 127)
            return 400;
    }
    if (size > HTTP_BODY_MAX - p->body_len)
        return 413;
    p->chunk_left = size;
    return STEP_DONE;
}

/* Decodes a chunked body in place, so that it lies whole behind the head. */
static int decode_chunks(struct parser *p, char *at, size_t len)
{
    for (;;) {
        char *raw = at + p->raw;
        size_t left = len - p->raw;
        if (p->stage == STAGE_CHUNK_DATA) {
            size_t take = left < p->chunk_left ? left : p->chunk_left;
            memmove(at + p->head_len + p->body_len, raw, take);
            p->body_len += (uint32_t)take;
            p->chunk_left -= (uint32_t)take;
            p->raw += (uint32_t)take;
            if (p->chunk_left > 0)
                return STEP_MORE;
            p->stage = STAGE_CHUNK_END;
            continue;
        }
        if (p->stage == STAGE_CHUNK_END) {
            if ((left > 0 && raw[0] != '\r') || (left > 1 && raw[1] != '\n'))
                return 400;
            if (left < 2)
                return STEP_MORE;
            p->raw += 2;
            p->stage = STAGE_CHUNK_SIZE;
            continue;
        }
        const char *lf = memchr(raw, '\n', left); /* a size line or a trailer line */
        if (!lf && p->stage == STAGE_CHUNK_SIZE)
            return left > CHUNK_LINE_MAX ? 400 : STEP_MORE;
        if (!lf)
            return p->trailer_len + left > HTTP_HEAD_MAX ? 431 : STEP_MORE;
        if (lf == raw || lf[-1] != '\r')
            return 400;
        p->raw += (uint32_t)(lf + 1 - raw);
        if (p->stage == STAGE_CHUNK_SIZE) {
            int step = lf - raw > CHUNK_LINE_MAX ? 400 : parse_chunk_size(p, raw, lf - 1);
            if (step != STEP_DONE)
                return step;
            p->stage = p->chunk_left ? STAGE_CHUNK_DATA : STAGE_TRAILER;
            continue;
        }
        if (lf == raw + 1) /* the empty line behind the trailers */
            return STEP_DONE;
        struct span name, value; /* trailers are checked and dropped */
        const char *next;
        p->trailer_len += (uint32_t)(lf + 1 - raw);
        if (p->trailer_len > HTTP_HEAD_MAX)
            return 431;
        if (head_parse_field(raw, lf + 1, &name, &value, &next) != STEP_DONE)
            return 400;
    }
}

static int advance(struct parser *p, struct buffer *in)
{
    if (p->stage == STAGE_HEAD) {
        int step = head_find_end(p, in->data + in->start, in->len - in->start);
        while (step == STEP_DONE && p->head_len == 2) { /* an empty line before a request is skipped (RFC 9112, 2.2) */
            in->start += 2;
            p->scanned = p->head_len = 0;
            step = head_find_end(p, in->data + in->start, in->len - in->start);
        }
        if (step == STEP_DONE)
            step = head_parse(p, in->data + in->start);
        if (step != STEP_DONE)
            return step;
        p->raw = p->head_len;
        p->stage = p->is_chunked ? STAGE_CHUNK_SIZE : STAGE_LENGTH;
    }
    char *at = in->data + in->start;
    size_t len = in->len - in->start;
    if (p->stage == STAGE_LENGTH) {
        p->raw = p->head_len + p->body_len;
        return len >= p->raw ? STEP_DONE : STEP_MORE;
    }
    int step = decode_chunks(p, at, len);
    if (step == STEP_MORE) { /* close the gap that decoding left, so that framing cannot grow the buffer */
        uint32_t decoded_end = p->head_len + p->body_len;
        memmove(at + decoded_end, at + p->raw, len - p->raw);
        in->len -= p->raw - decoded_end;
        p->raw = decoded_end;
    }
    return step;
}

enum parsed http_parse(struct parser *p, struct buffer *in, struct request *request)
{
    if (in->start == in->len)
        return PARSED_NOTHING;
    int step = advance(p, in);
    if (step == STEP_MORE) {
        bool tell = http_in_body(p) && p->expects_continue && !p->told_continue && in->len - in->start == p->head_len;
        p->told_continue = p->told_continue || tell;
        return tell ? PARSED_CONTINUE : PARSED_NOTHING;
    }
    *request = p->request;
    if (step == STEP_DONE) {
        request->body = in->data + in->start + p->head_len;
        request->body_len = p->body_len;
        in->start += p->raw;
    } else {
        request->route = ROUTE_FAIL;
        request->status = step;
        request->is_broken = true;
        request->keep_alive = false;
        in->start = in->len;
    }
    *p = (struct parser){0};
    return PARSED_REQUEST;
}
