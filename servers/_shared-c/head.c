#include "head.h"

#include <string.h>
#include <strings.h>

/* tchar of RFC 9110, section 5.6.2 */
static const bool is_token_char[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true, ['#'] = true,
    ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true, ['*'] = true, ['+'] = true,
    ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true, ['`'] = true, ['|'] = true, ['~'] = true,
};

static bool is_word(struct span s, const char *word) { return s.len == strlen(word) && !strncasecmp(s.at, word, s.len); }

static bool is_exactly(struct span s, const char *word) { return s.len == strlen(word) && !memcmp(s.at, word, s.len); }

/* Goes from line feed to line feed, so a bare one is refused as soon as it arrives and a head sent one byte per
 * segment is searched only once. */
int head_find_end(struct parser *p, const char *at, size_t len)
{
    const char *lf;
    while ((lf = memchr(at + p->scanned, '\n', len - p->scanned))) {
        size_t i = (size_t)(lf - at);
        if (i == 0 || at[i - 1] != '\r')
            return 400;
        p->scanned = (uint32_t)i + 1;
        if (i == 1 || at[i - 2] == '\n') { /* an empty line */
            p->head_len = p->scanned;
            return p->head_len > HTTP_HEAD_MAX ? 431 : STEP_DONE;
        }
    }
    p->scanned = (uint32_t)len;
    return len > HTTP_HEAD_MAX ? 431 : STEP_MORE;
}

/* ms=N among the query's pairs; the first one counts. -1 when missing, out of range or not a number. */
static int read_delay_ms(struct span query)
{
    const char *at = query.at, *end = query.at + query.len;
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (!stop)
            stop = end;
        if (stop - at > 3 && !memcmp(at, "ms=", 3)) {
            int value = 0;
            for (at += 3; at < stop; at++) {
                if (*at < '0' || *at > '9' || (value = value * 10 + (*at - '0')) > HTTP_DELAY_MAX_MS)
                    return -1;
            }
            return value;
        }
        at = stop + 1;
    }
    return -1;
}

static void fail(struct request *r, int status)
{
    r->route = ROUTE_FAIL;
    r->status = status;
}

static void choose_route(struct request *r, struct span method, struct span path, struct span query)
{
    static const struct {
        const char *path;
        enum route route;
        bool is_post;
    } routes[] = {
        {"/plain", ROUTE_PLAIN, false}, {"/delay", ROUTE_DELAY, false},     {"/hold", ROUTE_HOLD, false},
        {"/echo", ROUTE_ECHO, true},    {"/release", ROUTE_RELEASE, true},  {"/healthz", ROUTE_HEALTHZ, false},
        {"/stats", ROUTE_STATS, false},
    };
    r->is_head = is_exactly(method, "HEAD");
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!is_exactly(path, routes[i].path))
            continue;
        r->route = routes[i].route;
        if (!(routes[i].is_post ? is_exactly(method, "POST") : is_exactly(method, "GET") || r->is_head)) {
            r->allow = routes[i].is_post ? "POST" : "GET, HEAD";
            fail(r, 405);
        } else if (r->route == ROUTE_DELAY && (r->delay_ms = read_delay_ms(query)) < 0) {
            fail(r, 400);
        }
        return;
    }
    fail(r, 404);
}

static int parse_request_line(struct request *r, const char *at, const char *end)
{
    const char *c = at;
    while (is_token_char[(unsigned char)*c])
        c++;
    struct span method = {at, (size_t)(c - at)};
    if (method.len == 0 || *c++ != ' ')
        return 400;

    struct span target = {c, 0};
    while (*c > ' ' && *c < 127)
        c++;
    target.len = (size_t)(c - target.at);
    if (target.len == 0 || *c++ != ' ')
        return 400;

    struct span version = {c, (size_t)(end - c)};
    if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || version.at[6] != '.')
        return 400;
    if (is_exactly(version, "HTTP/1.0"))
        r->is_http_1_0 = true;
    else if (!is_exactly(version, "HTTP/1.1"))
        return 505;

    if (target.len > 7 && !strncasecmp(target.at, "http://", 7)) { /* absolute form: only its path matters here */
        const char *slash = memchr(target.at + 7, '/', target.len - 7);
        target = slash ? (struct span){slash, (size_t)(target.at + target.len - slash)} : (struct span){"/", 1};
    }
    const char *mark = memchr(target.at, '?', target.len);
    struct span path = {target.at, mark ? (size_t)(mark - target.at) : target.len};
    struct span query = {"", 0};
    if (mark)
        query = (struct span){mark + 1, target.len - path.len - 1};
    choose_route(r, method, path, query);
    return STEP_DONE;
}

static int parse_content_length(struct parser *p, struct span value)
{
    uint64_t length = 0;
    if (value.len == 0 || value.len > 18) /* 18 digits cannot overflow 64 bits */
        return 400;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return 400;
        length = length * 10 + (uint64_t)(value.at[i] - '0');
    }
    uint32_t capped = length > HTTP_BODY_MAX ? HTTP_BODY_MAX + 1 : (uint32_t)length;
    if (p->has_length && p->body_len != capped)
        return 400;
    p->has_length = true;
    p->body_len = capped;
    return STEP_DONE;
}

static void parse_connection(struct parser *p, struct span value)
{
    const char *at = value.at, *end = value.at + value.len;
    while (at < end) {
        const char *stop = memchr(at, ',', (size_t)(end - at));
        if (!stop)
            stop = end;
        const char *last = stop;
        while (at < last && (*at == ' ' || *at == '\t'))
            at++;
        while (last > at && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        struct span option = {at, (size_t)(last - at)};
        if (is_word(option, "close"))
            p->says_close = true;
        else if (is_word(option, "keep-alive"))
            p->says_keep_alive = true;
        at = stop + 1;
    }
}

static int use_field(struct parser *p, struct span name, struct span value)
{
    switch (name.len) { /* most fields are told apart by length alone */
    case 4:
        if (is_word(name, "Host")) {
            if (p->has_host)
                return 400;
            p->has_host = true;
        }
        break;
    case 6:
        if (is_word(name, "Expect") && is_word(value, "100-continue") && !p->request.is_http_1_0) /* RFC 9110, 10.1.1 */
            p->expects_continue = true;
        break;
    case 10:
        if (is_word(name, "Connection"))
            parse_connection(p, value);
        break;
    case 14:
        if (is_word(name, "Content-Length"))
            return parse_content_length(p, value);
        break;
    case 17:
        if (is_word(name, "Transfer-Encoding")) {
            if (p->is_chunked)
                return 400;
            if (!is_word(value, "chunked"))
                return 501;
            p->is_chunked = true;
        }
        break;
    }
    return STEP_DONE;
}

int head_parse_field(const char *at, const char *end, struct span *name, struct span *value, const char **next)
{
    const char *c = at; /* a folded line begins with a space, which no name does */
    while (c < end && is_token_char[(unsigned char)*c])
        c++;
    *name = (struct span){at, (size_t)(c - at)};
    if (c == at || c == end || *c != ':')
        return 400;
    const char *first = ++c;
    while (c < end && ((unsigned char)*c >= ' ' || *c == '\t') && *c != 127)
        c++;
    if (end - c < 2 || c[0] != '\r' || c[1] != '\n') /* NUL, another control, or a CR alone */
        return 400;
    const char *last = c;
    while (first < last && (*first == ' ' || *first == '\t'))
        first++;
    while (last > first && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    *value = (struct span){first, (size_t)(last - first)};
    *next = c + 2;
    return STEP_DONE;
}

int head_parse(struct parser *p, const char *at)
{
    const char *end = at + p->head_len - 2; /* without the empty line */
    const char *line_end = memchr(at, '\r', p->head_len); /* present: the head ends in \r\n */
    int step = parse_request_line(&p->request, at, line_end);
    if (step != STEP_DONE)
        return step;
    if (line_end[1] != '\n')
        return 400;

    for (const char *line = line_end + 2; line < end;) {
        struct span name, value;
        step = head_parse_field(line, end, &name, &value, &line);
        if (step == STEP_DONE)
            step = use_field(p, name, value);
        if (step != STEP_DONE)
            return step;
    }
    p->request.keep_alive = !p->says_close && (!p->request.is_http_1_0 || p->says_keep_alive);
    if (!p->has_host && !p->request.is_http_1_0)
        return 400;
    if (p->is_chunked && (p->has_length || p->request.is_http_1_0)) /* two framings: the classic way to smuggle a request */
        return 400;
    if (p->body_len > HTTP_BODY_MAX)
        return 413;
    return STEP_DONE;
}
