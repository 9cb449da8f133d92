/* Write one JSON object to a stream, member by member; nothing is read back, nothing is allocated. */
#ifndef LAB_JSON_H
#define LAB_JSON_H

#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    int is_empty; /* the object that is open has no member yet */
};

void json_open(struct json *json, const char *name); /* name NULL: the outermost object, or one in a list */
void json_close(struct json *json);
void json_count(struct json *json, const char *name, uint64_t count);
void json_seconds(struct json *json, const char *name, double seconds);
void json_text(struct json *json, const char *name, const char *text);

#endif
