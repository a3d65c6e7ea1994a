/*
 * Waiting and waking (wait/wait.c): a version, and the newest version that somebody sleeps on, plus one.
 *
 *     waiter   slept_on = version; raise the flag to slept_on + 1; look at the version again; sleep while it is slept_on
 *     writer   mine = ++version; look at the flag: 0: nobody. Else wake all, and clear the flag if it is below mine + 1
 *
 * With BELL it is a wait for the whole mesh: what is waited for is a stripe's version, and what is slept on is the bell's,
 * which a writer rings only while somebody has raised its flag. There the second look decides; with one stripe alone the
 * kernel's own look at the word does too.
 *
 * The sleep is futex(2)'s: it does not begin unless the word holds slept_on at that moment. The time limit of a sleep is left
 * out, and so is death: with every writer at its end, no waiter sleeps on what is over. Two waiters who wait for one
 * change each, and two writers.
 *
 * Planted faults: CLEAR_ALWAYS (the flag is cleared whatever it speaks of), ACQ_REL_ONLY, NO_FLAG, and with BELL: FLAG_LATE
 * (raised behind the second look), NO_SECOND_LOOK.
 */
#ifndef CHANGES
#define CHANGES 1
#endif
#define LOCATIONS 3
#define WRITES 9
#define PROCESSES 4
#include "weak.pml"

#define VERSION 0 /* what is slept on */
#define FLAG 1
#ifdef BELL
#define STRIPE 2 /* what is waited for */
#else
#define STRIPE VERSION
#endif

#ifdef ACQ_REL_ONLY
#define WRITE ACQ_REL
#define LOOK ACQUIRE
#else
#define WRITE SEQ_CST
#define LOOK SEQ_CST
#endif

#define WAITERS 2
bool asleep[WAITERS];
byte slept_on[WAITERS], known[WAITERS];

inline raise(me)
{
    load(me, FLAG, flag, RELAXED);
    do
    :: flag < slept_on[me] + 1 ->
        cas(me, FLAG, flag, slept_on[me] + 1, won, seen, WRITE);
        if
        :: won -> break
        :: else -> flag = seen
        fi
    :: else -> break
    od
}

proctype waiter(byte me)
{
    byte flag, seen, now;
    bool won;
    load(me, STRIPE, known[me], LOOK);
    load(me, VERSION, slept_on[me], LOOK);
#if !defined(FLAG_LATE) && !defined(NO_FLAG)
    raise(me);
#endif
#ifdef NO_SECOND_LOOK
    now = known[me];
#else
    load(me, STRIPE, now, LOOK);
#endif
    if
    :: now == known[me] ->
#ifdef FLAG_LATE
        raise(me);
#endif
        atomic {
            asleep[me] = (NOW(VERSION) == slept_on[me])
        }
        endasleep: !asleep[me] /* woken, or never asleep */
    :: else
    fi
}

inline bump(me)
{
    add(me, VERSION, 1, mine, WRITE);
    mine++;
    load(me, FLAG, flag, LOOK);
    if
    :: flag != 0 ->
        d_step {
            asleep[0] = false;
            asleep[1] = false
        }
#ifdef CLEAR_ALWAYS
        cas(me, FLAG, flag, 0, won, seen, WRITE)
#else
        if
        :: flag < mine + 1 -> cas(me, FLAG, flag, 0, won, seen, WRITE)
        :: else
        fi
#endif
    :: else
    fi
}

proctype writer(byte me; byte changes)
{
    byte mine, flag, seen;
    bool won;
    do
    :: changes > 0 ->
        changes--;
#ifdef BELL
        add(me, STRIPE, 1, mine, WRITE);
        load(me, FLAG, flag, LOOK);
        if
        :: flag != 0 -> bump(me)
        :: else
        fi
#else
        bump(me)
#endif
    :: else -> break
    od
}

init
{
    atomic {
        run waiter(0);
        run waiter(1);
        run writer(2, CHANGES);
        run writer(3, 1)
    }
    /* Writers end by themselves; whoever still sleeps then has to wait for the last version. */
    endall: timeout;
    assert(!asleep[0] || known[0] == NOW(STRIPE));
    assert(!asleep[1] || known[1] == NOW(STRIPE))
}
