/*
 * What is explored. A case's name says what should be true in all of its runs.
 *
 * Ids 1 and 2 have the same home and the same tag, and so have names 1 and 2. A group has two cells of its own unless a
 * case says otherwise, a line two more.
 */
#include "explore.h"

const ex_case_t ex_cases[] = {
    /* ids: one holder at a time, found as long as it holds */
    {"an-id-has-one-holder", "R11|R11", ""},
    {"an-id-can-be-taken-again", "R11 U1|R11 U1", ""},
    {"a-find-sees-what-was-acknowledged", "R11 U1|F1 F1", ""},
    {"a-find-passes-over-what-is-going", "R11|F1|U1", "R11"},
    {"a-find-passes-over-who-is-refused", "U2 R11|F1", "R21 R11"},
    {"three-inserters-agree", "R11|R11|R11", ""},
    {"ids-with-one-tag-are-told-apart", "R11 U1|R22|F1 F2", ""},
    {"neighbours-share-a-window", "R13 U1|R31|F1 F3", "", .homes = 2},
    {"an-unregistered-id-is-free-at-once", "U1 R11|R11|F1", "R11"},
    {"a-full-window-is-refused-not-broken", "R11|R21|R31 U3", "R41", .line_cells = 1, .flags = EX_MAY_BE_FULL},

    /* ids and death */
    {"a-dead-registrar-leaves-all-or-nothing", "R11|F1 F1", "", .deaths = 1},
    {"a-dead-registrar-does-not-stop-another", "R11|R11", "", .deaths = 1},
    {"a-dead-unregistrar-leaves-all-or-nothing", "U1|F1 R11", "R11", .deaths = 1},
    {"an-id-of-the-dead-is-taken-at-once", "R11|R11|P", "R11", .settler_dies = true},
    {"an-id-of-the-dead-has-one-taker", "R11|R11 U1", "R11", .deaths = 1, .settler_dies = true},
    {"a-reaper-that-dies-is-reaped", "P|P", "R11m", .deaths = 2, .settler_dies = true},
    {"reaping-does-not-touch-the-living", "R11|P", "", .deaths = 1},
    {"reapers-meet-inserters", "P|R11 F1|P", "R11", .deaths = 1, .settler_dies = true},
    {"two-die-over-one-id", "R11|R11|P", "", .deaths = 2},

    /* groups: joined, walked, collected */
    {"joiners-share-a-group", "R11|R21|D1", ""},
    {"two-names-with-one-tag-are-told-apart", "R11|R22|D1 D2", ""},
    {"a-walk-holds-what-stays", "R21|D1|U1", "R11 R31"},
    {"a-collector-leaves-a-joiner-its-group", "R11|C", "R11 U1"},
    {"a-collected-group-is-made-anew", "R11|R21|C", "R11 U1"},
    {"two-collectors-take-turns", "R11|C|C", "R11 U1"},
    {"a-walk-is-not-led-into-another-group", "R22|C|D1", "R11 R21 U1 U2", .groups = 2, .flags = EX_MAY_BE_FULL},
    {"a-joiner-that-dies-leaves-no-cell", "R11|R21|C", "R11 U1", .deaths = 1},
    {"a-collector-that-dies-leaves-a-group", "C|R11 D1", "R11 U1", .deaths = 1},
    {"reapers-and-collectors-agree", "P C|P C", "R11", .deaths = 1, .settler_dies = true},

    /* lines */
    {"a-line-is-linked-once", "R21|R31|D1", "R11", .group_cells = 1, .line_members = 1},
    {"a-line-goes-to-one-group", "R21|R42", "R11 R32", .group_cells = 1, .line_members = 1, .lines = 2},
    {"lines-come-back-with-their-group", "R11|C", "R11 R21 U1 U2", .group_cells = 1, .line_members = 1, .lines = 2},
    {"a-walk-goes-through-lines", "U2 R21|D1", "R11 R21 R31", .group_cells = 1, .line_members = 1},
    {"appending-meets-collecting", "R21|C|U1", "R11", .group_cells = 1, .line_members = 1, .lines = 2},
    {"an-appender-that-dies-loses-no-line", "R21|R31", "R11", .deaths = 1, .group_cells = 1, .line_members = 1, .lines = 2},
    {"a-torn-down-chain-can-be-reaped", "P C|P C", "R11 R21", .deaths = 1, .settler_dies = true, .group_cells = 1,
     .line_members = 1, .lines = 2},
    {"lines-that-ran-out-are-collected", "R12|R22", "R11 R21 U1 U2", .group_cells = 1, .line_members = 1, .lines = 1,
     .flags = EX_MAY_BE_FULL},
    {"a-freed-cell-is-hinted-at-in-its-group", "R21|U3", "R11 R31", .deaths = 1, .group_cells = 1, .line_members = 1},
    {"an-unconfirmed-cell-is-nobodys-hint", "R11|C R21 R32 R42 P R11", "R11 R21 U1 U2", .deaths = 1, .group_cells = 1,
     .lines = 1, .flags = EX_MAY_BE_FULL},
    {"a-chain-is-left-when-its-group-goes", "R21|R31|C", "R11 U1", .group_cells = 1, .line_members = 1, .lines = 2},

    /* metadata, weight, reports */
    {"metadata-are-old-or-new", "M1|Q1 Q1", "R11m"},
    {"metadata-writers-leave-no-block", "M1|M1|Q1", "R11m"},
    {"metadata-change-size", "N1|M1|Q1", "R11l"},
    {"metadata-go-with-their-service", "M1|U1 R11m", "R11m"},
    {"a-metadata-writer-that-dies-leaves-one-text", "M1|M1 Q1", "R11m", .deaths = 1},
    {"metadata-of-the-dead-are-given-back", "P|M1|R11m", "R11m", .settler_dies = true, .deaths = 1},
    {"metadata-come-with-the-registration", "R11m|Q1 Q1", "", .deaths = 1},
    {"metadata-are-of-this-life", "M1|U1 R11|Q1", "R11m"},
    {"a-weight-is-of-this-life", "X1|U1 R11|F1", "R11"},
    {"all-of-a-service-is-of-one-life", "G1|U1 R11", "R11"},
    {"reports-are-counted-once", "S1|S1|Z1", "R11"},
    {"reports-of-a-former-life-do-not-count", "S1|S1|Z1", "R11 S1 U1 R11"},
    {"reports-outlive-nobody", "S1|U1 R11 S1", "R11"},
    {"a-reporter-that-dies-counts-once-or-not", "S1|S1", "R11", .deaths = 1},
    {"reports-of-the-dead-are-kept", "S1 S1|P", "R11", .deaths = 1},

    /* waiting */
    {"a-waiter-wakes-for-a-registration", "V1 W1|R11", ""},
    {"a-waiter-wakes-for-an-unregistration", "V1 W1|U1", "R11"},
    {"a-waiter-wakes-for-any-name", "V W|R11|R22", ""},
    {"two-waiters-wake", "V1 W1|V1 W1|R11", ""},
    {"a-waiter-wakes-for-a-change", "V1 W1|X1|M1", "R11"},
    {"a-waiter-wakes-for-a-death", "V1 W1|R11|P", "", .deaths = 1},
    {"a-waiter-wakes-although-the-waker-dies", "V1 W1|R11", "", .deaths = 1},

    /* leases */
    {"a-heartbeat-is-not-overtaken", "T|H1|P", "R11d"},
    {"a-heartbeat-is-of-this-life", "H1|U1 R11", "R11t"},
    {"a-heartbeat-in-time-keeps-a-service", "T H1|F1 F1|P", "R11d"},
    {"an-expired-id-can-be-taken", "T|R11|F1", "R11d"},
    {"an-expired-service-is-reaped-once", "P|P", "R11d T", .deaths = 1},
    {"detached-services-outlive-their-maker", "R11d|F1 F1", "", .deaths = 1},
    {"a-lease-is-noted-by-somebody", "R11d|T P", "", .deaths = 1},
    {"a-late-lease-mends-an-owned-service", "T H1|P|G1", "R11t"},

    /* joining, leaving */
    {"leaving-takes-everything-away", "L|F1|R21", "", .flags = 0},
    {"who-leaves-can-join-again", "R11 L J R11|F1|P", ""},
    {"who-dies-while-joining-leaves-a-slot", "R11|P", "", .deaths = 1, .flags = EX_APART},
    {"a-slot-has-one-tenant", "R11|R21", "", .deaths = 1, .flags = EX_APART},
    {"a-slot-of-the-dead-is-joined", "P|R11", "R11", .settler_dies = true, .deaths = 1, .flags = EX_APART},
    {"who-leaves-may-die", "R11 L|P F1", "", .deaths = 1},

    /* growing and running out */
    {"slabs-grow-once", "R11m|R21", "", .flags = EX_GROWS},
    {"a-grower-that-dies-stops-nobody", "R11|R21", "", .deaths = 1, .flags = EX_GROWS},
    {"full-is-told-and-leaves-nothing", "R21|R31 U3", "R11", .services = 2, .flags = EX_MAY_BE_FULL},
    {"the-dead-make-room", "R21|R31", "R11", .settler_dies = true, .services = 2, .flags = EX_MAY_BE_FULL},
};
const size_t ex_case_count = sizeof ex_cases / sizeof ex_cases[0];
