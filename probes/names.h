/* Numbers of the running kernel -> their names, and what its tracepoints tell. */
#ifndef LAB_NAMES_H
#define LAB_NAMES_H

#include <stddef.h>

struct btf;

/* Names of one enum of this kernel, by value; NULL where it has none. */
struct names {
    size_t count;
    char **by_value;
};

/* Read the enum `name`, its members' common `prefix` left out. A kernel without that enum gives no names. */
struct names names_of_enum(const struct btf *btf, const char *name, const char *prefix);

/* The name of a value, or "number N"; `buffer` holds the latter. */
const char *name_of(const struct names *names, unsigned int value, char buffer[32]);

/* How many arguments a tracepoint has, or -1 where this kernel has no such tracepoint. */
int tracepoint_arguments(const struct btf *btf, const char *tracepoint);

/* System calls as this program was compiled to know them; "syscall N" for newer ones. */
const char *syscall_name(unsigned int number, char buffer[32]);

/* EAGAIN for 11; those that never leave the kernel too (ERESTARTSYS for 512). */
const char *errno_name(unsigned int error, char buffer[32]);

#endif
