/*
 * Fibers.
 *
 * A fiber's block is its stack with the process's private things above it. What is live of it, from the stack pointer up,
 * is all that the process knows: it is what a state's hash covers, and what going back restores. Below the stack pointer
 * there is nothing; it is cleared now and then, so that what a later call leaves uninitialised does not tell states
 * apart that are equal.
 */
#include "explore.h"

typedef struct ex_block {
    unsigned char stack[EX_STACK_BYTES];
    ex_private_t private;
} ex_block_t;

static _Alignas(64) ex_block_t blocks[EX_ACTORS];

ex_process_t ex_process[EX_ACTORS];
uint32_t ex_running = EX_KERNEL;

/* As deep as calls between two accesses go; a bound for tidiness, not for correctness. */
#define CLEARED_BYTES 2048u

ex_private_t *ex_private(uint32_t who)
{
    return &blocks[who].private;
}

static void body(void)
{
    uint32_t who = ex_running;
    ex_process_t *me = &ex_process[who];
    for (uint32_t i = 0; i < ex_program[who].count; i++) {
        cmy_schedule_point(ex_start_word(who));
        me->event = (uint8_t)(ex_program[who].first_event + i);
        me->op++;
        ex_program_run(who, &ex_program[who].op[i], me->event);
    }
    for (;;) {
        me->status = EX_DONE;
        me->pending = NULL;
        ex_fiber_yield();
    }
}

/* --------------------------------------------------------------- switching */

#if defined(__x86_64__)

/* Saves what a call must keep, and the stack pointer in *from; goes on where `to` was saved. */
void ex_switch(void **from, void *to);
__asm__(".text\n"
        ".globl ex_switch\n"
        ".type ex_switch, @function\n"
        "ex_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size ex_switch, .-ex_switch\n");

#define NOTHING_BELOW 1 /* the stack pointer */
static void *scheduler;

static void *first_frame(uint32_t who)
{
    uint64_t *top = (uint64_t *)(void *)&blocks[who].private;
    top -= ((uintptr_t)top & 15) != 0;
    *--top = 0; /* where body() would return to */
    *--top = (uint64_t)(uintptr_t)body;
    for (int i = 0; i < 6; i++)
        *--top = 0;
    return top;
}

static void enter(uint32_t who)
{
    ex_switch(&scheduler, ex_process[who].sp);
}

void ex_fiber_yield(void)
{
    ex_switch(&ex_process[ex_running].sp, scheduler);
}

#else

/* Elsewhere by ucontext. A context lies in the frame that gives way, so that it is saved with the stack. */
#include <ucontext.h>

#define NOTHING_BELOW 0 /* the saved pointer is one into a frame */
static ucontext_t scheduler;
static struct {
    ucontext_t first;
    ucontext_t *now;
} context[EX_ACTORS];

static void *first_frame(uint32_t who)
{
    getcontext(&context[who].first);
    context[who].first.uc_stack.ss_sp = blocks[who].stack;
    context[who].first.uc_stack.ss_size = sizeof blocks[who].stack;
    context[who].first.uc_link = NULL;
    makecontext(&context[who].first, body, 0);
    return NULL;
}

static void enter(uint32_t who)
{
    void *sp = ex_process[who].sp;
    swapcontext(&scheduler, sp ? *(ucontext_t **)sp : &context[who].first);
}

void ex_fiber_yield(void)
{
    ucontext_t here;
    ucontext_t *volatile at = &here;
    /* All that swapcontext() keeps of this frame lies at or above its own frame, which is a little below. */
    ex_process[ex_running].sp = (void *)(uintptr_t)&at;
    swapcontext(&here, &scheduler);
}

#endif

/* --------------------------------------------------------------- interface */

/* Of what a process has for itself, its view of the region changes only where slabs grow. */
static const unsigned char *end_of(uint32_t who)
{
    const ex_private_t *private = &blocks[who].private;
    return private->mesh.region == &private->region ? (const unsigned char *)(private + 1)
                                                    : (const unsigned char *)&private->region;
}

static size_t live_bytes(uint32_t who)
{
    return (size_t)(end_of(who) - (const unsigned char *)ex_process[who].sp);
}

static void clear_below(uint32_t who)
{
    unsigned char *sp = ex_process[who].sp;
    size_t below = (size_t)(sp - blocks[who].stack);
    size_t cleared = below < CLEARED_BYTES ? below : CLEARED_BYTES;
    if (NOTHING_BELOW)
        memset(sp - cleared, 0, cleared);
}

void ex_fiber_start(uint32_t who)
{
    ex_process_t *process = &ex_process[who];
    memset(blocks[who].stack, 0, sizeof blocks[who].stack);
    *process = (ex_process_t){.status = EX_READY};
    process->sp = first_frame(who);
    ex_fiber_resume(who); /* up to its first start word */
}

void ex_fiber_resume(uint32_t who)
{
    ex_running = who;
    enter(who);
    ex_running = EX_KERNEL;
    ex_process[who].local = 0;
}

uint64_t ex_fiber_hash(uint32_t who)
{
    ex_process_t *process = &ex_process[who];
    if (process->local == 0) {
        process->local = XXH3_64bits(process->sp, live_bytes(who)) | 1;
        clear_below(who);
    }
    return process->local;
}

size_t ex_fiber_save(uint32_t who, void *to)
{
    size_t bytes = live_bytes(who);
    memcpy(to, ex_process[who].sp, bytes);
    return bytes;
}

void ex_fiber_restore(uint32_t who, const void *from)
{
    memcpy(ex_process[who].sp, from, live_bytes(who));
    clear_below(who);
}
