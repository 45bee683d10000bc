/* Lets user-mode Linux run on processors with more registers than it knows: to be loaded before it (LD_PRELOAD).
 *
 * The kernel takes the registers of a traced process whole or not at all: xstateregs_set (arch/x86/kernel/fpu/regset.c)
 * answers EFAULT to any length but the processor's own. Debian 12's user-mode Linux keeps 2,696 bytes for them;
 * processors with AMX (Intel since 2023) have 11,008. So what it sets is completed here by what the process has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

static char registers[1 << 16]; /* not on the stack: that of a kernel is small; user-mode Linux is one thread */

long ptrace(enum __ptrace_request request, ...)
{
    static long (*next)(enum __ptrace_request, pid_t, void *, void *);
    va_list given;
    va_start(given, request);
    pid_t pid = va_arg(given, pid_t);
    void *address = va_arg(given, void *), *data = va_arg(given, void *);
    va_end(given);

    if (!next)
        next = (long (*)(enum __ptrace_request, pid_t, void *, void *))dlsym(RTLD_NEXT, "ptrace");
    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE) {
        const struct iovec *part = data;
        struct iovec all = {registers, sizeof registers};
        if (next(PTRACE_GETREGSET, pid, address, &all) == 0 && part->iov_len < all.iov_len) {
            memcpy(registers, part->iov_base, part->iov_len);
            return next(request, pid, address, &all);
        }
    }
    return next(request, pid, address, data);
}
