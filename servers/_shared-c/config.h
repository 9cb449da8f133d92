/* The environment, checked: what every variant is told (servers/CONTRACT.md). */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>

enum { CONFIG_NONCE_MIN = 16, CONFIG_NONCE_MAX = 64, CONFIG_PROCESSES_MAX = 9999 };

struct config {
    struct sockaddr_in address; /* LAB_HOST, LAB_PORT */
    int backlog;                /* LAB_BACKLOG */
    int drain_ms;               /* LAB_DRAIN_S */
    bool reuseport;             /* LAB_REUSEPORT */
    const char *nonce;          /* LAB_NONCE, or NULL: which run started this server */
    int instance;               /* LAB_INSTANCE, or -1: its number among those that share the port */
    int processes;              /* LAB_PROCESSES: how many to fork, for variants that make their own */
};

/* Reads the environment. A bad value: one line on stderr and exit 2. */
struct config config_read(void);

/* A variable of a variant's own: a whole number, `fallback` without it. A bad value: as above. */
int config_number(const char *name, int fallback, int least, int most);

/* Opens the listening socket (close-on-exec, non-blocking). A failure: one line on stderr and exit 1. */
int config_open(const struct config *config);

/* Asks whether somebody listens there already, whatever the socket options. If so: one line on stderr and exit 1. */
void config_check_free(const struct config *config);

/* The one line on stderr that says that the server listens. */
void config_announce(const struct config *config, const char *variant);

/* Both. */
int config_listen(const struct config *config, const char *variant);
