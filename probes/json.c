#include "json.h"

static void write_text(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c > 0x7e) /* names and errors are ASCII; anything else is shown as what it is */
            fprintf(out, "\\u%04x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

static void begin_member(struct json *json, const char *name)
{
    if (!json->is_empty)
        fputs(", ", json->out);
    json->is_empty = 0;
    if (name) {
        write_text(json->out, name);
        fputs(": ", json->out);
    }
}

void json_open(struct json *json, const char *name)
{
    if (name)
        begin_member(json, name);
    putc('{', json->out);
    json->is_empty = 1;
}

void json_close(struct json *json)
{
    putc('}', json->out);
    json->is_empty = 0;
}

void json_count(struct json *json, const char *name, uint64_t count)
{
    begin_member(json, name);
    fprintf(json->out, "%llu", (unsigned long long)count);
}

void json_seconds(struct json *json, const char *name, double seconds)
{
    begin_member(json, name);
    fprintf(json->out, "%.9f", seconds);
}

void json_text(struct json *json, const char *name, const char *text)
{
    begin_member(json, name);
    write_text(json->out, text);
}
