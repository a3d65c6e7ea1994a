/*
 * The commit word of the unique index (index/index.c): of all who insert one key, one at a time has it.
 *
 * A window of two cells, three records, all with the same key. Record 0 is registered. Its owner unregisters it and
 * registers again with the same record; one or two others insert theirs meanwhile (INSERTERS counts all). At no time are
 * two records LIVE; who was told success is LIVE, in a cell with its bit, at the end; who was refused has left nothing.
 *
 * Planted faults: NO_RELOOK (acting on what was seen without another look at the word), LATE_WORD (the word that the commit
 * replaces is read behind the scan), NO_VERSION (the word's version stays), CELL_FIRST (removing clears the cell before the
 * bit), RELAXED_WORD (the word and the cells are read and written without an order), NO_HELP (a committed record that is
 * not published yet is passed over).
 */
#ifndef INSERTERS
#define INSERTERS 2
#endif
#define LOCATIONS 6
#define WRITES 14
#define PROCESSES INSERTERS
#include "weak.pml"

#define WORD 0                /* version * 4 + map of two bits */
#define CELL(i) (1 + (i))     /* record + 1 */
#define STATE(record) (3 + (record)) /* version * 4 + phase */
#define FREE 0
#define CLAIMED 1
#define LIVE 2
#define DYING 3
#define PHASE(state) ((state) % 4)

#ifdef NO_VERSION
#define MOVED 0
#else
#define MOVED 4
#endif
#ifdef RELAXED_WORD
#define SEE RELAXED
#define MOVE RELAXED
#else
#define SEE ACQUIRE
#define MOVE ACQ_REL
#endif

#define IS_LIVE(record) (PHASE(NOW(STATE(record))) == LIVE)
#define LIVES (IS_LIVE(0) + IS_LIVE(1) + IS_LIVE(2))

#define SCANNING 0
#define AGAIN 1
#define TAKEN 2 /* somebody has the key */
#define DONE 3
byte result[3];

/* DYING, and ours: bit before cell, cell before record. */
inline finish(me, version)
{
    i = 0;
    do
    :: i < 2 ->
        load(me, CELL(i), cell, SEE);
        if
        :: cell == me + 1 ->
#ifdef CELL_FIRST
            cas(me, CELL(i), me + 1, 0, won, seen, MOVE);
#endif
            won = false;
            do
            :: !won ->
                load(me, WORD, word, SEE);
                cas(me, WORD, word, (word & (255 - (1 << i))) + MOVED, won, seen, MOVE)
            :: else -> break
            od;
#ifndef CELL_FIRST
            cas(me, CELL(i), me + 1, 0, won, seen, MOVE)
#endif
        :: else
        fi;
        i++
    :: else -> break
    od;
    cas(me, STATE(me), version * 4 + DYING, (version + 1) * 4 + FREE, won, seen, ACQ_REL);
    assert(won)
}

/* One committed cell. */
inline judge(me)
{
    load(me, CELL(i), cell, SEE);
    if
    :: cell != 0 && cell != me + 1 ->
        load(me, STATE(cell - 1), state, ACQUIRE);
        if
        :: PHASE(state) != FREE ->
#ifndef NO_RELOOK
            fence_acquire(me);
            load(me, WORD, seen, RELAXED);
            if
            :: seen != word -> verdict = AGAIN
            :: else
            fi;
#endif
            if
            :: verdict == SCANNING && PHASE(state) == DYING ->
                cas(me, WORD, word, (word & (255 - (1 << i))) + MOVED, won, seen, MOVE);
                verdict = AGAIN
#ifndef NO_HELP
            :: verdict == SCANNING && PHASE(state) == CLAIMED ->
                atomic {
                    cas(me, STATE(cell - 1), state, state - CLAIMED + LIVE, won, seen, ACQ_REL);
                    assert(LIVES <= 1)
                };
                verdict = (won -> TAKEN : AGAIN)
#endif
            :: verdict == SCANNING && PHASE(state) == LIVE -> verdict = TAKEN
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

inline take_cell(me)
{
    i = 0;
    do
    :: i < 2 && mine == 2 ->
        load(me, CELL(i), cell, RELAXED);
        if
        :: cell == 0 ->
            cas(me, CELL(i), 0, me + 1, won, seen, MOVE);
            if
            :: won -> mine = i
            :: else
            fi
        :: else
        fi;
        i++
    :: else -> break
    od
}

/* The record is CLAIMED at this version. */
inline insert(me, version)
{
    mine = 2;
    verdict = AGAIN;
    do
    :: verdict == AGAIN ->
        verdict = SCANNING;
        load(me, WORD, word, SEE);
        i = 0;
        do
        :: i < 2 && verdict == SCANNING ->
            if
            :: word & (1 << i) -> judge(me)
            :: else
            fi;
            i++
        :: else -> break
        od;
        if
        :: verdict == SCANNING ->
            if
            :: mine == 2 -> take_cell(me)
            :: else
            fi;
            if
            :: mine == 2 -> verdict = TAKEN /* full: the same way out */
            :: else ->
#ifdef LATE_WORD
                load(me, WORD, word, SEE);
#endif
                cas(me, WORD, word, (word | (1 << mine)) + MOVED, won, seen, MOVE);
                verdict = (won -> DONE : AGAIN)
            fi
        :: else
        fi
    :: else -> break
    od;
    if
    :: verdict == DONE ->
        atomic {
            cas(me, STATE(me), version * 4 + CLAIMED, version * 4 + LIVE, won, seen, ACQ_REL);
            assert(LIVES <= 1)
        }
    :: else ->
        cas(me, STATE(me), version * 4 + CLAIMED, version * 4 + DYING, won, seen, ACQ_REL);
        assert(won); /* nobody publishes what was not committed */
        finish(me, version)
    fi;
    result[me] = verdict
}

proctype process(byte me)
{
    byte word, cell, state, seen, i, mine, verdict;
    bool won;
    if
    :: me == 0 ->
        cas(me, STATE(0), LIVE, DYING, won, seen, ACQ_REL);
        finish(0, 0);
        cas(me, STATE(0), 4 + FREE, 4 + CLAIMED, won, seen, ACQ_REL);
        fence_release(0);
        insert(0, 1)
    :: else ->
        cas(me, STATE(me), FREE, CLAIMED, won, seen, ACQ_REL);
        fence_release(me);
        insert(me, 0)
    fi
}

#define HAS_CELL(record)                                                                                               \
    ((NOW(CELL(0)) == (record) + 1 && (NOW(WORD) & 1)) || (NOW(CELL(1)) == (record) + 1 && (NOW(WORD) & 2)))

init
{
    byte i;
    atomic {
        value[CELL(0) * WRITES] = 1;
        value[WORD * WRITES] = 1;
        value[STATE(0) * WRITES] = LIVE;
        for (i : 0 .. INSERTERS - 1) {
            run process(i)
        }
    }
    (_nr_pr == 1);
    for (i : 0 .. INSERTERS - 1) {
        if
        :: result[i] == DONE -> assert(IS_LIVE(i) && HAS_CELL(i))
        :: else -> assert(PHASE(NOW(STATE(i))) == FREE && NOW(CELL(0)) != i + 1 && NOW(CELL(1)) != i + 1)
        fi
    }
    assert(LIVES <= 1)
}
