/*
 * Group collect (group/group.c, group/member.c): a joiner's cell and a collector's seal, which is Dekker's pattern.
 *
 *     joiner      CAS cell 0 -> service;        look at the group: LIVE: joined; CLOSING: CAS it back to LIVE
 *     collector   CAS LIVE -> CLOSING(turn+1);  look at all cells: empty: CAS CLOSING(turn+1) -> DYING, else back to LIVE
 *
 * Two joiners and two collectors, who may steal each other's turn. Nobody has joined a group that is retired.
 *
 * Planted faults: ACQ_REL_ONLY (the orders of everything else here), RELAXED_SCAN, NO_TURN (CLOSING says nothing of whose),
 * LOOK_BEFORE (the joiner looks at the group before it writes its cell), NO_REVIVAL (it takes CLOSING for LIVE).
 */
#define LOCATIONS 3
#define WRITES 14
#define PROCESSES 4
#include "weak.pml"

#define GROUP 0 /* LIVE(turn): 2 turn; CLOSING(turn): 2 turn + 1; DYING: 99 */
#define CELL(n) (1 + (n))
#define DYING 99

#ifdef ACQ_REL_ONLY
#define WRITE ACQ_REL
#define LOOK ACQUIRE
#else
#define WRITE SEQ_CST
#define LOOK SEQ_CST
#endif
#ifdef RELAXED_SCAN
#define SCAN RELAXED
#else
#define SCAN LOOK
#endif
#ifdef NO_TURN
#define RAISE(turn) (turn)
#else
#define RAISE(turn) ((turn) + 1)
#endif

bool joined[2];

proctype joiner(byte me)
{
    byte group, seen;
    bool won;
#ifdef LOOK_BEFORE
    load(me, GROUP, group, LOOK);
    cas(me, CELL(me), 0, 1, won, seen, WRITE);
#else
    cas(me, CELL(me), 0, 1, won, seen, WRITE);
    load(me, GROUP, group, LOOK);
#endif
    do
    :: group == DYING ->
        cas(me, CELL(me), 1, 0, won, seen, WRITE);
        break
    :: group != DYING && group % 2 == 0 ->
        joined[me] = true;
        break
    :: group != DYING && group % 2 == 1 ->
#ifdef NO_REVIVAL
        won = true;
#else
        cas(me, GROUP, group, group - 1, won, seen, WRITE);
#endif
        if
        :: won ->
            joined[me] = true;
            break
        :: else -> load(me, GROUP, group, LOOK)
        fi
    od
}

proctype collector(byte me)
{
    byte group, seen, mine, cell;
    bool won;
    load(me, GROUP, group, LOOK);
    if
    :: group != DYING ->
        mine = RAISE(group / 2) * 2 + 1;
        cas(me, GROUP, group, mine, won, seen, WRITE);
        if
        :: won ->
            load(me, CELL(0), cell, SCAN);
            if
            :: cell == 0 -> load(me, CELL(1), cell, SCAN)
            :: else
            fi;
            if
            :: cell == 0 -> cas(me, GROUP, mine, DYING, won, seen, WRITE)
            :: else -> cas(me, GROUP, mine, mine - 1, won, seen, WRITE)
            fi
        :: else
        fi
    :: else
    fi
}

init
{
    atomic {
        run joiner(0);
        run joiner(1);
        run collector(2);
        run collector(3)
    }
    (_nr_pr == 1);
    assert(NOW(GROUP) != DYING || (!joined[0] && !joined[1]));
    assert(!joined[0] || NOW(CELL(0)) == 1);
    assert(!joined[1] || NOW(CELL(1)) == 1)
}
