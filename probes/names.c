/* Reasons and operations are named from the running kernel's BTF, because their numbers move between kernels. System
 * calls' numbers never do; their names come from the headers that this was compiled with (syscalls.inc, made from
 * <asm/unistd.h> by the Dockerfile). */
#define _GNU_SOURCE
#include "names.h"

#include <asm/types.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "tally.h"

#define MOST_VALUES 1024 /* SKB_DROP_REASON_SUBSYS_MASK and its like are no values of their own */

struct names names_of_enum(const struct btf *btf, const char *name, const char *prefix)
{
    struct names names = {0};
    int id = btf__find_by_name_kind(btf, name, BTF_KIND_ENUM);
    if (id < 0)
        return names;
    const struct btf_type *type = btf__type_by_id(btf, id);
    const struct btf_enum *members = btf_enum(type);
    names.by_value = calloc(MOST_VALUES, sizeof *names.by_value);
    if (!names.by_value)
        return names;
    names.count = MOST_VALUES;
    for (int i = 0; i < btf_vlen(type); i++) {
        const char *member = btf__name_by_offset(btf, members[i].name_off);
        if (members[i].val < 0 || members[i].val >= MOST_VALUES || !member)
            continue;
        if (strncmp(member, prefix, strlen(prefix)) == 0)
            member += strlen(prefix);
        free(names.by_value[members[i].val]);
        names.by_value[members[i].val] = strdup(member);
    }
    return names;
}

const char *name_of(const struct names *names, unsigned int value, char buffer[32])
{
    if (value < names->count && names->by_value[value])
        return names->by_value[value];
    snprintf(buffer, 32, "number %u", value);
    return buffer;
}

int tracepoint_arguments(const struct btf *btf, const char *tracepoint)
{
    char name[96];
    snprintf(name, sizeof name, "btf_trace_%s", tracepoint);
    int id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
    if (id < 0)
        return -1;
    const struct btf_type *type = btf__type_by_id(btf, btf__type_by_id(btf, id)->type); /* a pointer */
    type = type ? btf__type_by_id(btf, type->type) : NULL;                              /* to a prototype */
    if (!type || !btf_is_func_proto(type))
        return -1;
    return btf_vlen(type) - 1; /* the first is the tracepoint's own data */
}

static const char *const SYSCALL_NAMES[] = {
#define CALL(name) [SYS_##name] = #name,
#include "syscalls.inc"
#undef CALL
};

const char *syscall_name(unsigned int number, char buffer[32])
{
    if (number == SYSCALLS - 1) /* the kernel forgets the number of a return from a signal handler: it is -1 on leaving */
        return "rt_sigreturn";
    if (number < sizeof SYSCALL_NAMES / sizeof *SYSCALL_NAMES && SYSCALL_NAMES[number])
        return SYSCALL_NAMES[number];
    snprintf(buffer, 32, "syscall %u", number);
    return buffer;
}

const char *errno_name(unsigned int error, char buffer[32])
{
    /* include/linux/errno.h: a call that a signal interrupts and that is begun again ends with one of these. */
    static const char *const INNER[] = {"ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ENOIOCTLCMD",
                                        "ERESTART_RESTARTBLOCK"};
    if (error >= 512 && error < 512 + sizeof INNER / sizeof *INNER)
        return INNER[error - 512];
    const char *name = strerrorname_np((int)error);
    if (name)
        return name;
    snprintf(buffer, 32, "errno %u", error);
    return buffer;
}
