/*
 * C11 atomics for spin: what a processor and a compiler may do with them, but for speculation.
 *
 * Each location keeps every value that was ever written to it, in the order in which they were (its modification order). A
 * process has a view: how far it has seen of each location. A load gives any value at or behind the view, so that a later
 * load of another location may be older than an earlier one (loads out of order), and a store may be seen long before or
 * after its neighbours (stores out of order), unless an order forbids it:
 *
 *   release store or RMW   the value carries the writer's view; release fence: so do the relaxed stores that follow it
 *   acquire load or RMW    the reader's view takes in what the value carries; acquire fence: and what earlier relaxed
 *                          loads brought
 *   RMW                    reads the last value, whatever the view, and passes on what that carried (release sequence)
 *   seq_cst                a seq_cst load is at least as new as the last seq_cst write of its location
 *
 * What is not in it: loads that see stores which come later in their own thread's future (load buffering), and writes that
 * enter the modification order anywhere but at its end. Both make the model smaller than C11. Nothing here decides on a value
 * before the load that it depends on, which is what load buffering takes.
 *
 * Technique: the operational form of the release-acquire fragment; Lahav, Giannarakis, Vafeiadis, "Taming release-acquire
 * consistency" (2016), with the fences of Kang et al., "A promising semantics for relaxed-memory concurrency" (2017).
 *
 * Before the include: LOCATIONS, WRITES (values that a location may get, the first included), PROCESSES.
 */
byte value[LOCATIONS * WRITES];           /* by location and turn */
byte last[LOCATIONS];                     /* turn of the last write */
byte carried[LOCATIONS * WRITES * LOCATIONS]; /* the view that a value carries */
byte view[PROCESSES * LOCATIONS];         /* now */
byte gained[PROCESSES * LOCATIONS];       /* what an acquire fence would make of it */
byte given[PROCESSES * LOCATIONS];        /* what a relaxed store carries: the view at the last release fence */
byte strict[LOCATIONS];                   /* last seq_cst write */

hidden byte turn_, at_, old_;

#define RELAXED 0
#define ACQUIRE 1
#define RELEASE 2
#define ACQ_REL 3
#define SEQ_CST 7

#define MAX_(a, b) ((a) > (b) -> (a) : (b))
#define CARRIED(l, t, m) carried[((l) * WRITES + (t)) * LOCATIONS + (m)]

/* The reader p has read turn t of l. */
inline take_(p, l, t, order)
{
    gained[(p) * LOCATIONS + (l)] = MAX_(gained[(p) * LOCATIONS + (l)], t);
    view[(p) * LOCATIONS + (l)] = MAX_(view[(p) * LOCATIONS + (l)], t);
    for (at_ : 0 .. LOCATIONS - 1) {
        gained[(p) * LOCATIONS + at_] = MAX_(gained[(p) * LOCATIONS + at_], CARRIED(l, t, at_));
        if
        :: (order) & 1 -> view[(p) * LOCATIONS + at_] = MAX_(view[(p) * LOCATIONS + at_], CARRIED(l, t, at_))
        :: else
        fi
    }
    at_ = 0
}

/* A new last value of l; rmw: it passes on what the one before it carried. */
inline put_(p, l, new, order, rmw)
{
    old_ = last[l];
    last[l]++;
    assert(last[l] < WRITES); /* the model is too small */
    value[(l) * WRITES + last[l]] = new;
    for (at_ : 0 .. LOCATIONS - 1) {
        CARRIED(l, last[l], at_) = ((order) & 2 -> view[(p) * LOCATIONS + at_] : given[(p) * LOCATIONS + at_]);
        if
        :: rmw -> CARRIED(l, last[l], at_) = MAX_(CARRIED(l, last[l], at_), CARRIED(l, old_, at_))
        :: else
        fi
    }
    at_ = 0;
    CARRIED(l, last[l], l) = last[l];
    view[(p) * LOCATIONS + (l)] = last[l];
    gained[(p) * LOCATIONS + (l)] = last[l];
    if
    :: (order) == SEQ_CST -> strict[l] = last[l]
    :: else
    fi;
    old_ = 0
}

inline load(p, l, result, order)
{
    atomic {
        turn_ = view[(p) * LOCATIONS + (l)];
        if
        :: (order) == SEQ_CST -> turn_ = MAX_(turn_, strict[l])
        :: else
        fi;
        do
        :: turn_ < last[l] -> turn_++
        :: break
        od;
        result = value[(l) * WRITES + turn_];
        take_(p, l, turn_, order);
        turn_ = 0
    }
}

inline store(p, l, new, order)
{
    atomic { put_(p, l, new, order, false) }
}

/* result: whether it was exchanged; seen: the value before. */
inline cas(p, l, expected, new, result, seen, order)
{
    atomic {
        seen = value[(l) * WRITES + last[l]];
        result = (seen == (expected));
        take_(p, l, last[l], order); /* also where it fails: as seq_cst and acq_rel both say here */
        if
        :: result -> put_(p, l, new, order, true)
        :: else
        fi
    }
}

inline add(p, l, more, seen, order)
{
    atomic {
        seen = value[(l) * WRITES + last[l]];
        take_(p, l, last[l], order);
        put_(p, l, seen + (more), order, true)
    }
}

inline fence_acquire(p)
{
    d_step {
        for (at_ : 0 .. LOCATIONS - 1) {
            view[(p) * LOCATIONS + at_] = gained[(p) * LOCATIONS + at_]
        }
        at_ = 0
    }
}

inline fence_release(p)
{
    d_step {
        for (at_ : 0 .. LOCATIONS - 1) {
            given[(p) * LOCATIONS + at_] = view[(p) * LOCATIONS + at_]
        }
        at_ = 0
    }
}

/* What a location holds, seen from nowhere. */
#define NOW(l) value[(l) * WRITES + last[l]]
