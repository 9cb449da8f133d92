#include "buffer.h"

#include <stdlib.h>
#include <string.h>

bool buffer_reserve(struct buffer *b, size_t extra)
{
    if (b->cap - b->len >= extra)
        return true;
    size_t cap = b->cap ? b->cap : 1024;
    while (cap - b->len < extra)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (!data)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

bool buffer_append(struct buffer *b, const char *bytes, size_t len)
{
    if (!buffer_reserve(b, len))
        return false;
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
    return true;
}

void buffer_compact(struct buffer *b)
{
    if (b->start == b->len) {
        buffer_free(b); /* an idle connection costs no buffer */
    } else if (b->start > 0) {
        memmove(b->data, b->data + b->start, b->len - b->start);
        b->len -= b->start;
        b->start = 0;
    }
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}
