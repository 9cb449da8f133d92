/* Reads the status line and the fields' lines, trailers' included, up to the empty line. */
#include "answer_parts.h"

#define STATUS_LINE_START "HTTP/1.1 "
enum { CODE_AT = sizeof STATUS_LINE_START - 1, CODE_END = CODE_AT + 3, MINOR_AT = 7 };

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

enum state answer_take_head(struct answer *a, enum state state, bytes_at *at, bytes_at end)
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
                if (a->field == NO_FIELD || (a->field != OTHER_FIELD && !answer_take_value_byte(a, ' ')))
                    return BROKEN;
                p++;
                state = IN_VALUE;
                break;
            }
            if (a->field > OTHER_FIELD && !answer_end_element(a))
                return BROKEN;
            a->word_len = 0;
            if (*p == '\r') {
                p++;
                state = AFTER_LAST_CR;
                break;
            }
            if (!ANSWER_TOKEN[*p])
                return BROKEN;
            state = IN_NAME;
            break;
        case IN_NAME:
            start = p;
            while (p < end && ANSWER_TOKEN[*p])
                p++;
            if (p < end && *p != ':')
                return BROKEN;
            if (p < end && a->word_len == 0) {
                a->field = answer_begin_field(a, start, (size_t)(p - start));
            } else {
                while (start < p)
                    keep(a, *start++);
                if (p == end)
                    break;
                a->field = answer_begin_field(a, (bytes_at)a->word, a->word_len);
            }
            p++;
            state = IN_VALUE;
            break;
        case IN_VALUE:
            if (a->field == OTHER_FIELD)
                p = skip_text(p, end);
            else
                while (p < end && *p != '\r') {
                    if (*p == '\n' || *p == 0 || !answer_take_value_byte(a, *p))
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
