/* One client's connection: what it has sent, what it waits for, which requests to the kernel are under way for it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "ring.h"
#include "shared/talk.h"

struct client {
    struct talk talk; /* first: a timer's address is its talk's, and its client's */
    struct ring *ring;
    int file;       /* its place in the ring's table: no descriptor of the process */
    bool has_left;  /* the end of its input was seen */
    bool is_closed; /* waits only for the last completions; then its memory is freed */
    bool is_receiving, is_sending, is_watched; /* requests under way: multishot receive, send, poll */
    bool is_pausing;                           /* ... the receive is being cancelled */
    bool is_stalled;                           /* ... the send waits for the client to read */
    bool is_shut;                              /* draining: the end of its input is on its way */
    unsigned char shutdowns;                   /* under way: nothing is closed before they are done */
    struct buffer sending; /* what the kernel is reading: nobody touches it until the send completes */
    struct buffer out;     /* what goes out behind it */
};

extern size_t client_count; /* the open ones (talks.count), and those that are closed but have completions to come */

/* Takes a socket in the ring's table over. When memory is short it is closed and counted. */
void client_open(struct ring *ring, int file);

/* Each of these is one turn: it never blocks, and closes no connection but this one. */
void client_on_receive(struct client *c, int result, char *data, bool is_last);
void client_on_send(struct client *c, int result);
void client_on_leave(struct client *c);
void client_on_shut(struct client *c);
void client_on_timer(struct client *c);
void client_on_drain(struct client *c);
