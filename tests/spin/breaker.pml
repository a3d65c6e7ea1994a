/*
 * Circuit breakers (registry/breaker.c): two instances of a name, of which one at most may be open.
 *
 *     opener      CAS turn nothing -> due; CAS condition CLOSED -> OPEN; look at the other's: OPEN: CAS OPEN -> CLOSED again
 *     who tries   condition OPEN: look at the turn; CAS due -> mine; look at the condition again; then clear the streak and
 *                 CAS OPEN -> CLOSED
 *     reporter    condition CLOSED by who tried: add to the streak, which is clear
 *
 * An opener of each, two who try the first, and a reporter. Who sees OPEN sees a turn; one tries; both are not open in the
 * end; who sees CLOSED sees no failure of before.
 *
 * Planted faults: ACQ_REL_ONLY (the orders of everything else here), NO_SECOND_COUNT (who has opened does not look at the
 * other), DOOR_FIRST (the condition before the turn), RELAXED_CONDITION (of who tries, the first look), RELAXED_DOOR (the CAS
 * that opens), TURN_BY_A_STORE, LATE_CLEAR (the streak after the CAS that closes), RELAXED_REPORT (the reporter's look).
 */
#define LOCATIONS 4
#define WRITES 6
#define PROCESSES 5
#include "weak.pml"

#define CONDITION(n) (n) /* CLOSED 0, OPEN 1, CLOSED again by its opener 2, by who tried 4 */
#define TURN 2           /* nothing 0, due 1, taken 2 and 3 */
#define STREAK 3         /* 0: as many failures as opened it; 1: none */

#ifdef ACQ_REL_ONLY
#define OPENS ACQ_REL
#define COUNTS ACQUIRE
#else
#define OPENS SEQ_CST
#define COUNTS SEQ_CST
#endif
#ifdef RELAXED_DOOR
#define DOOR RELAXED
#else
#define DOOR OPENS
#endif
#ifdef RELAXED_CONDITION
#define FIRST RELAXED
#else
#define FIRST ACQUIRE
#endif
#ifdef RELAXED_REPORT
#define REPORT RELAXED
#else
#define REPORT ACQUIRE
#endif

bool taken[2];

proctype opener(byte me)
{
    byte seen, other;
    bool won;
#ifndef DOOR_FIRST
    if
    :: me == 0 -> cas(me, TURN, 0, 1, won, seen, ACQ_REL)
    :: else
    fi;
#endif
    cas(me, CONDITION(me), 0, 1, won, seen, DOOR);
#ifdef DOOR_FIRST
    if
    :: me == 0 -> cas(me, TURN, 0, 1, won, seen, ACQ_REL)
    :: else
    fi;
#endif
#ifndef NO_SECOND_COUNT
    load(me, CONDITION(1 - me), other, COUNTS);
    if
    :: other == 1 -> cas(me, CONDITION(me), 1, 2, won, seen, OPENS)
    :: else
    fi
#endif
}

proctype tries(byte me)
{
    byte condition, turn, seen;
    bool won;
    load(me, CONDITION(0), condition, FIRST);
    if
    :: condition == 1 ->
        load(me, TURN, turn, ACQUIRE);
        assert(turn != 0);
        if
        :: turn == 1 ->
#ifdef TURN_BY_A_STORE
            store(me, TURN, me, RELEASE);
            won = true;
#else
            cas(me, TURN, turn, me, won, seen, ACQ_REL);
#endif
            if
            :: won ->
                load(me, CONDITION(0), condition, ACQUIRE);
                if
                :: condition == 1 ->
                    taken[me - 2] = true;
#ifdef LATE_CLEAR
                    cas(me, CONDITION(0), 1, 4, won, seen, OPENS);
                    store(me, STREAK, 1, RELAXED)
#else
                    store(me, STREAK, 1, RELAXED);
                    cas(me, CONDITION(0), 1, 4, won, seen, OPENS)
#endif
                :: else
                fi
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

proctype reporter(byte me)
{
    byte condition, streak;
    load(me, CONDITION(0), condition, REPORT);
    if
    :: condition == 4 ->
        load(me, STREAK, streak, RELAXED);
        assert(streak == 1)
    :: else
    fi
}

init
{
    atomic {
        run opener(0);
        run opener(1);
        run tries(2);
        run tries(3);
        run reporter(4)
    }
    (_nr_pr == 1);
    assert(!taken[0] || !taken[1]);
    assert(NOW(CONDITION(0)) != 1 || NOW(CONDITION(1)) != 1)
}
