/* Turn a request that needs no waiting into the bytes of its reply, appended to `out`. */
#pragma once
#include "buffer.h"
#include "http.h"

/* The variant's name, for Server: and /stats, and what /healthz tells in Lab-Nonce:, or NULL. Once, before the first
 * reply. */
void reply_init(const char *variant, const char *nonce);

/* Answers every route; for /delay and /hold it is the answer after the wait, for /release use
 * reply_released(). False when memory is short: the connection can only be closed then. */
bool reply(struct buffer *out, const struct request *request);

bool reply_released(struct buffer *out, const struct request *request, long released);

/* The interim answer to Expect: 100-continue. */
bool reply_continue(struct buffer *out);
