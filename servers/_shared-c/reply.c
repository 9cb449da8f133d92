#include "reply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "stats.h"

static const char *variant_name = "", *run_nonce;

void reply_init(const char *variant, const char *nonce)
{
    variant_name = variant;
    run_nonce = nonce;
}

static char *put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

static char *put_text(char *to, const char *text) { return put(to, text, strlen(text)); }

static char *put_number(char *to, size_t number)
{
    char digits[24];
    char *first = digits + sizeof digits;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    return put(to, first, (size_t)(digits + sizeof digits - first));
}

/* "Server: x\r\nDate: y\r\n", rebuilt once per second and thread: formatting a date costs more than
 * everything else in a small reply. Names are spelled out because strftime() follows the locale. */
static char *put_server_and_date(char *to)
{
    static _Thread_local struct {
        time_t second;
        size_t len;
        char text[128];
    } cached;
    const time_t now = time(NULL);
    if (now != cached.second || cached.len == 0) {
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        struct tm utc;
        gmtime_r(&now, &utc); /* cannot fail before the year 2^31 */
        cached.len = (size_t)snprintf(cached.text, sizeof cached.text,
                                      "Server: %.40s\r\nDate: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", variant_name,
                                      days + utc.tm_wday * 3, utc.tm_mday, months + utc.tm_mon * 3, utc.tm_year + 1900,
                                      utc.tm_hour, utc.tm_min, utc.tm_sec);
        cached.second = now;
    }
    return put(to, cached.text, cached.len);
}

static const char *status_line(int status)
{
    switch (status) {
    case 200: return "HTTP/1.1 200 OK\r\n";
    case 404: return "HTTP/1.1 404 Not Found\r\n";
    case 405: return "HTTP/1.1 405 Method Not Allowed\r\n";
    case 413: return "HTTP/1.1 413 Content Too Large\r\n";
    case 431: return "HTTP/1.1 431 Request Header Fields Too Large\r\n";
    case 501: return "HTTP/1.1 501 Not Implemented\r\n";
    case 503: return "HTTP/1.1 503 Service Unavailable\r\n";
    case 505: return "HTTP/1.1 505 HTTP Version Not Supported\r\n";
    default: return "HTTP/1.1 400 Bad Request\r\n";
    }
}

static bool append(struct buffer *out, const struct request *r, int status, const char *type, const char *body, size_t len)
{
    if (!buffer_reserve(out, len + 512)) /* 512: the head below is at most 410 bytes */
        return false;
    char *to = out->data + out->len;
    to = put_text(to, status_line(status));
    to = put_server_and_date(to);
    to = put_text(put_text(put_text(to, "Content-Type: "), type), "\r\nContent-Length: ");
    to = put_number(to, len);
    if (status == 405)
        to = put_text(put_text(to, "\r\nAllow: "), r->allow);
    if (r->route == ROUTE_HEALTHZ && run_nonce)
        to = put_text(put_text(to, "\r\nLab-Nonce: "), run_nonce);
    if (!r->keep_alive)
        to = put_text(to, "\r\nConnection: close");
    else if (r->is_http_1_0)
        to = put_text(to, "\r\nConnection: keep-alive");
    to = put_text(to, "\r\n\r\n");
    if (!r->is_head)
        to = put(to, body, len);
    out->len = (size_t)(to - out->data);
    return true;
}

bool reply(struct buffer *out, const struct request *r)
{
    char text[STATS_TEXT_MAX];
    switch (r->route) {
    case ROUTE_FAIL:
        return append(out, r, r->status, "text/plain", "", 0);
    case ROUTE_ECHO:
        return append(out, r, 200, "application/octet-stream", r->body, r->body_len);
    case ROUTE_HEALTHZ:
        return append(out, r, 200, "text/plain", "ok\n", 3);
    case ROUTE_STATS:
        return append(out, r, 200, "application/json", text, stats_render(text, variant_name));
    case ROUTE_RELEASE:
        return reply_released(out, r, 0);
    case ROUTE_PLAIN:
    case ROUTE_DELAY:
    case ROUTE_HOLD:
        break;
    }
    return append(out, r, 200, "text/plain", "Hello, world!", 13);
}

bool reply_released(struct buffer *out, const struct request *r, long released)
{
    char text[48];
    int len = snprintf(text, sizeof text, "{\"released\": %ld}", released);
    return append(out, r, 200, "application/json", text, (size_t)len);
}

bool reply_continue(struct buffer *out)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    return buffer_append(out, text, sizeof text - 1);
}
