// Which instructions a program runs through, in the order in which it first does: its own, and those of the first process it
// makes until that becomes another program.
//
//   first_use PROGRAM WORD...       prints an address a line, then leaves with the program's exit code
//
// It runs the program one instruction at a time (ptrace), which is slow and exact. `cargo xtask order` makes of this the list
// by which the linker lays the program's code out.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// Programs are not position independent and small: what lies elsewhere is the kernel's or the C library's business.
enum { FROM = 0x200000, TO = 0x2000000 };
static char seen[TO - FROM];

int main(int count, char **words)
{
    if (count < 2)
        return fputs("usage: first_use PROGRAM WORD...\n", stderr), 2;
    pid_t first = fork(), second = 0;
    if (first < 0)
        return perror("fork"), 1;
    if (!first) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0))
            return perror("ptrace"), 1;
        raise(SIGSTOP);
        execv(words[1], words + 1);
        return perror(words[1]), 127;
    }
    int status;
    waitpid(first, &status, 0);
    const long follow = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SETOPTIONS, first, 0, follow | PTRACE_O_EXITKILL))
        return perror("ptrace"), 1;
    ptrace(PTRACE_SINGLESTEP, first, 0, 0);
    for (pid_t who; (who = waitpid(-1, &status, __WALL)) > 0;) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (who == first)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        struct user_regs_struct registers;
        if (who != first && !second)
            second = who;
        if (event == PTRACE_EVENT_EXEC && who == second) {
            ptrace(PTRACE_DETACH, who, 0, 0); // another program from here on
            continue;
        }
        if (!event && signal == SIGTRAP && !ptrace(PTRACE_GETREGS, who, 0, &registers)) {
            unsigned long at = registers.rip;
            if (at >= FROM && at < TO && !seen[at - FROM]) {
                seen[at - FROM] = 1;
                printf("%lx\n", at);
            }
        }
        int ours = event || signal == SIGTRAP || signal == SIGSTOP;
        ptrace(PTRACE_SINGLESTEP, who, 0, ours ? 0 : signal);
    }
    return 1;
}
