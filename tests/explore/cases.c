/*
 * What is explored. A case's name says what should be true in all of its runs.
 *
 * Ids 1 and 2 have the same home and the same tag, and so have names 1 and 2. A group has two cells of its own unless a
 * case says otherwise, a line two more.
 */
#include "explore.h"

#define CASE(name_, setup_, program_, ...)                                                                             \
    {                                                                                                                  \
        .name = name_, .setup = setup_, .program = program_, __VA_ARGS__                                               \
    }

const ex_case_t ex_cases[] = {
    /* ids: one holder at a time, found as long as it holds */
    CASE("an-id-has-one-holder", "", "R11|R11"),
    CASE("an-id-can-be-taken-again", "", "R11 U1|R11 U1"),
    CASE("a-find-sees-what-was-acknowledged", "", "R11 U1|F1 F1"),
    CASE("a-find-passes-over-what-is-going", "R11", "R11|F1|U1"),
    CASE("a-find-passes-over-who-is-refused", "R21 R11", "U2 R11|F1"),
    CASE("three-inserters-agree", "", "R11|R11|R11"),
    CASE("ids-with-one-tag-are-told-apart", "", "R11 U1|R22|F1 F2"),
    CASE("neighbours-share-a-window", "", "R13 U1|R31|F1 F3", .homes = 2),
    CASE("an-unregistered-id-is-free-at-once", "R11", "U1 R11|R11|F1", .weight = 6),
    CASE("a-full-window-is-refused-not-broken", "R41", "R11|R21|R31 U3", .line_cells = 1, .flags = EX_MAY_BE_FULL),

    /* ids and death */
    CASE("a-dead-registrar-leaves-all-or-nothing", "", "R11|F1 F1", .deaths = 1),
    CASE("a-dead-registrar-does-not-stop-another", "", "R11|R11", .deaths = 1),
    CASE("a-dead-unregistrar-leaves-all-or-nothing", "R11", "U1|F1 R11", .deaths = 1),
    CASE("an-id-of-the-dead-is-taken-at-once", "R11", "R11|R11|P", .settler_dies = true),
    CASE("an-id-of-the-dead-has-one-taker", "R11", "R11|R11 U1", .deaths = 1, .settler_dies = true),
    CASE("a-reaper-that-dies-is-reaped", "R11m", "P|P", .deaths = 2, .settler_dies = true),
    CASE("reaping-does-not-touch-the-living", "", "R11|P", .deaths = 1),
    CASE("reapers-meet-inserters", "R11", "P|R11 F1|P", .deaths = 1, .settler_dies = true),
    CASE("a-late-reaper-leaves-the-next-tenant-alone", "R11", "P|P R11 F1", .settler_dies = true),
    CASE("two-die-over-one-id", "", "R11|R11|P", .deaths = 2),

    /* groups: joined, walked, collected */
    CASE("joiners-share-a-group", "", "R11|R21|D1"),
    CASE("two-names-with-one-tag-are-told-apart", "", "R11|R22|D1 D2"),
    CASE("a-walk-holds-what-stays", "R11 R31", "R21|D1|U1"),
    CASE("a-collector-leaves-a-joiner-its-group", "R11 U1", "R11|C"),
    CASE("a-collected-group-is-made-anew", "R11 U1", "R11|R21|C"),
    CASE("two-collectors-take-turns", "R11 U1", "R11|C|C"),
    CASE("a-walk-is-not-led-into-another-group", "R11 R21 U1 U2", "R22|C|D1", .groups = 2, .flags = EX_MAY_BE_FULL),
    CASE("a-joiner-that-dies-leaves-no-cell", "R11 U1", "R11|R21|C", .deaths = 1),
    CASE("a-collector-that-dies-leaves-a-group", "R11 U1", "C|R11 D1", .deaths = 1),
    CASE("reapers-and-collectors-agree", "R11", "P C|P C", .deaths = 1, .settler_dies = true),

    /* selecting */
    CASE("a-selection-is-of-one-life", "R11", "K1|U1 R11", .services = 1),
    CASE("a-selection-is-of-its-name", "R11", "K1|U1 R12", .services = 1),
    CASE("a-selection-is-of-who-is-there", "R11 R21", "K1|U1|U2 R31"),
    CASE("a-selection-sees-what-was-acknowledged", "", "R11 K1 U1 K1|R21|K1"),
    CASE("a-selection-sees-a-weight-or-the-next", "R11", "X1 K1|X1|K1"),
    CASE("a-selection-passes-over-the-dead", "R11", "K1 K1|R21", .deaths = 1),
    CASE("a-selection-sees-the-load-of-others", "R11 R21", "B1 B1|%1|B2"),
    CASE("a-selection-forgets-the-load-of-the-dead", "R11 R21 B2", "B1 B1|%1|P", .deaths = 1),
    CASE("a-selection-compares-nobody-by-a-block-that-was-its", "R11 R21 B1 B2 B2", "%1|U1 R32 B3 B3 B3 R11"),
    CASE("a-selection-survives-those-it-knew", "R11 R21", "K1|P R31", .deaths = 1, .settler_dies = true),

    /* lines */
    CASE("a-line-is-linked-once", "R11", "R21|R31|D1", .group_cells = 1, .line_members = 1),
    CASE("a-line-goes-to-one-group", "R11 R32", "R21|R42", .group_cells = 1, .line_members = 1, .lines = 2),
    CASE("lines-come-back-with-their-group", "R11 R21 U1 U2", "R11|C", .group_cells = 1, .line_members = 1, .lines = 2),
    CASE("a-walk-goes-through-lines", "R11 R21 R31", "U2 R21|D1", .group_cells = 1, .line_members = 1),
    CASE("appending-meets-collecting", "R11", "R21|C|U1", .group_cells = 1, .line_members = 1, .lines = 2),
    CASE("an-appender-that-dies-loses-no-line", "R11", "R21|R31", .deaths = 1, .group_cells = 1, .line_members = 1,
         .lines = 2),
    CASE("a-torn-down-chain-can-be-reaped", "R11 R21", "P C|P C", .deaths = 1, .settler_dies = true, .group_cells = 1,
         .line_members = 1, .lines = 2),
    CASE("lines-that-ran-out-are-collected", "R11 R21 U1 U2", "R12|R22", .group_cells = 1, .line_members = 1,
         .lines = 1, .flags = EX_MAY_BE_FULL),
    CASE("a-freed-cell-is-hinted-at-in-its-group", "R11 R31", "R21|U3", .deaths = 1, .group_cells = 1,
         .line_members = 1),
    CASE("an-unconfirmed-cell-is-nobodys-hint", "R11 R21 U1 U2", "R11|C R21 R32 R42 P R11", .deaths = 1,
         .group_cells = 1, .lines = 1, .flags = EX_MAY_BE_FULL, .weight = 10),
    CASE("a-chain-is-left-when-its-group-goes", "R11 U1", "R21|R31|C", .group_cells = 1, .line_members = 1, .lines = 2),

    /* metadata, weight, reports */
    CASE("metadata-are-old-or-new", "R11m", "M1|Q1 Q1"),
    CASE("metadata-writers-leave-no-block", "R11m", "M1|M1|Q1"),
    CASE("metadata-change-size", "R11l", "N1|M1|Q1"),
    CASE("metadata-go-with-their-service", "R11m", "M1|U1 R11m"),
    CASE("a-metadata-writer-that-dies-leaves-one-text", "R11m", "M1|M1 Q1", .deaths = 1),
    CASE("metadata-of-the-dead-are-given-back", "R11m", "P|M1|R11m", .settler_dies = true, .deaths = 1),
    CASE("metadata-come-with-the-registration", "", "R11m|Q1 Q1", .deaths = 1),
    CASE("metadata-are-of-this-life", "R11m", "M1|U1 R11|Q1"),
    CASE("a-weight-is-of-this-life", "R11", "X1|U1 R11|F1"),
    CASE("all-of-a-service-is-of-one-life", "R11", "G1|U1 R11"),
    CASE("reports-are-counted-once", "R11", "S1|S1|Z1"),
    CASE("reports-of-a-former-life-do-not-count", "R11 S1 U1 R11", "S1|S1|Z1"),
    CASE("reports-outlive-nobody", "R11", "S1|U1 R11 S1"),
    CASE("a-reporter-that-dies-counts-once-or-not", "R11", "S1|S1", .deaths = 1),
    CASE("reports-of-the-dead-are-kept", "R11", "S1 S1|P", .deaths = 1),

    /* requests in flight */
    CASE("requests-in-flight-are-summed", "R11", "B1 E1|B1|Z1"),
    CASE("requests-of-the-dead-are-gone-at-once", "R11", "B1 B1 E1|Z1|P", .deaths = 1),
    CASE("requests-of-the-dead-stay-gone", "R11 B1 B1", "P|J B1|J Z1", .settler_dies = true, .flags = EX_APART),
    CASE("the-next-tenant-of-a-slot-has-its-own-requests", "R11d B1", "P|P J B1|Z1", .settler_dies = true,
         .flags = EX_APART, .deaths = 1),
    CASE("requests-are-of-this-life", "R11", "B1 E1|U1 R11 B1|Z1"),
    CASE("requests-outlive-their-service", "R11 B1", "B1 E1|U1 R11|Z1"),
    CASE("requests-end-with-who-leaves", "R11d", "B1 L J B1|Z1|P", .deaths = 1),
    CASE("threads-share-a-count", "R11", "B1 E1|B1 E1|B1", .flags = EX_THREADS),
    CASE("threads-count-in-the-latest-life", "R11", "B1 E1|U1 R11 B1|B1", .flags = EX_THREADS),
    CASE("threads-in-flight-die-together", "R11", "B1 E1|B1", .flags = EX_THREADS, .deaths = 1),
    CASE("further-cells-are-linked-once", "R11", "B1|B1 E1|Z1", .stat_cells = 1),
    CASE("who-dies-linking-cells-leaves-none", "R11", "P|B1|B1", .stat_cells = 1, .deaths = 1),
    CASE("further-cells-of-the-dead-are-forgotten", "R11d B1", "P J B1|Z1|B1", .stat_cells = 1, .settler_dies = true,
         .flags = EX_APART),
    CASE("further-cells-stay-with-their-block", "R11", "B1 E1|U1 R21 B2|B2", .stat_cells = 1, .blocks = 2,
         .flags = EX_MAY_BE_FULL),

    /* circuit breakers: two failures open one, unless a case says otherwise */
    CASE("failures-come-together", "R11 O1", "O1|O1|I1", .failures = 3),
    CASE("a-success-between-failures-begins-anew", "R11", "O1|S1|O1", .failures = 2),
    CASE("one-of-all-tries", "R11 O1 O1 T", "A1|A1|A1", .failures = 2),
    CASE("who-tries-decides", "R11 O1 O1 T", "A1 S1|O1|A1", .failures = 2),
    CASE("nobody-decides-untried", "R11 O1 O1 T", "S1|O1|S1", .failures = 2),
    CASE("who-fails-is-followed-later", "R11 O1 O1 T", "A1 O1|A1 S1|T", .failures = 2),
    CASE("who-dies-trying-is-replaced", "R11 O1 O1 T", "A1 S1|A1", .failures = 2, .deaths = 1),
    CASE("who-dies-failing-is-replaced", "R11 O1 O1 T", "A1 O1|A1|T", .failures = 2, .deaths = 1),
    CASE("who-left-is-replaced", "R11 O1 O1 T", "A1 L|A1 S1", .failures = 2),
    CASE("who-is-said-to-try-does", "R11 O1 O1 T", "J A1 L|I1|J", .failures = 2, .flags = EX_APART),
    CASE("an-opener-that-dies-leaves-a-time", "R11 O1", "O1|I1 A1", .failures = 2, .deaths = 1),
    CASE("openers-meet", "R11 O1", "O1|O1|A1", .failures = 2),
    CASE("a-late-opener-changes-nothing", "R11 O1", "O1|O1 T A1 S1", .failures = 2),
    CASE("a-reset-meets-who-tries", "R11 O1 O1 T", "A1 S1|Y1|O1", .failures = 2),
    CASE("a-reset-meets-an-opener", "R11 O1", "O1|Y1|X1", .failures = 2),
    CASE("a-breaker-is-of-this-life", "R11 O1", "O1|U1 R11|I1", .failures = 2),
    CASE("a-turn-is-of-this-life", "R11 O1 O1 T", "A1 S1|U1 R11 O1", .failures = 2),
    CASE("a-turn-is-of-its-service", "R11 R21 O1", "O1|U1 O2 O2 T A2 S2", .failures = 2, .blocks = 1),
    CASE("no-more-than-a-share-opens", "R11 R21", "O1|O2", .failures = 1, .most = 50),
    CASE("what-is-open-was-opened", "R11 R21", "O1|O2|T A1 O1", .failures = 1, .most = 50),
    CASE("an-opener-that-dies-is-one-too-many-at-most", "R11 R21", "O1|O2", .failures = 1, .most = 50, .deaths = 1),
    CASE("what-is-open-is-not-selected", "R11 R21 O1", "K1|O1 X2", .failures = 2),
    /* health: one checks at a time */
    CASE("one-of-two-checks", "R11", "!1 !1|!1 !1"),
    CASE("one-of-three-checks", "R11", "!1|!1|!1"),
    CASE("a-checker-that-dies-is-replaced", "R11", "!1 !1|!1 !1", .deaths = 1),
    CASE("a-checker-of-the-dead-is-replaced-once", "R11d !1", "!1|!1|P", .settler_dies = true, .deaths = 1),
    CASE("what-is-given-back-can-be-had", "R11", "!1 ~1|!1 !1", .deaths = 1),
    CASE("who-leaves-does-not-check", "R11", "!1 ~1 L|!1"),
    CASE("a-checker-is-of-this-life", "R11", "!1|U1 R11 !1", .services = 1),
    CASE("results-of-two-who-check-count-once", "R11", "!1i !1i|!1i !1i"),
    CASE("a-stopped-checker-loses-it-and-finds-out", "R11 !1", "!1i !1i|!1", .deaths = 1),
    CASE("a-status-by-hand-and-a-weight-are-kept", "R11", "!1|X1 X1|G1"),

    /* waiting */
    CASE("a-waiter-wakes-for-a-registration", "", "V1 W1|R11"),
    CASE("a-waiter-wakes-for-an-unregistration", "R11", "V1 W1|U1"),
    CASE("a-waiter-wakes-for-any-name", "", "V W|R11|R22"),
    CASE("two-waiters-wake", "", "V1 W1|V1 W1|R11"),
    CASE("a-waiter-wakes-for-a-change", "R11", "V1 W1|X1|M1"),
    CASE("a-waiter-wakes-for-a-death", "", "V1 W1|R11|P", .deaths = 1),
    CASE("a-waiter-wakes-although-the-waker-dies", "", "V1 W1|R11", .deaths = 1),

    /* leases */
    CASE("a-heartbeat-is-not-overtaken", "R11d", "T|H1|P"),
    CASE("a-heartbeat-is-of-this-life", "R11t", "H1|U1 R11"),
    CASE("a-heartbeat-in-time-keeps-a-service", "R11d", "T H1|F1 F1|P"),
    CASE("what-a-heartbeat-renewed-is-found", "R11d Th", "H1 F1|Th P"),
    CASE("an-expired-id-can-be-taken", "R11d", "T|R11|F1"),
    CASE("an-expired-service-is-reaped-once", "R11d T", "P|P", .deaths = 1),
    CASE("detached-services-outlive-their-maker", "", "R11d|F1 F1", .deaths = 1),
    CASE("a-lease-is-noted-by-somebody", "", "R11d|T P", .deaths = 1),
    CASE("a-late-lease-mends-an-owned-service", "R11t", "T H1|P|G1"),

    /* events */
    CASE("an-event-is-whole-or-not-there", "", "*|*|? ?"),
    CASE("an-event-gives-way-to-later-ones-alone", "*", "* *|*|? ?"),
    CASE("a-recorder-that-dies-is-in-nobodys-way", "*", "*|* ?|?", .deaths = 1),

    /* joining, leaving */
    CASE("leaving-takes-everything-away", "", "R11 R21 L|F1 F2|R31"),
    CASE("who-leaves-can-join-again", "", "R11 L J R11|F1|P"),
    CASE("who-dies-while-joining-leaves-a-slot", "", "R11|P", .deaths = 1, .flags = EX_APART),
    CASE("a-slot-has-one-tenant", "", "R11|R21", .deaths = 1, .flags = EX_APART),
    CASE("a-slot-of-the-dead-is-joined", "R11", "P|R11", .settler_dies = true, .deaths = 1, .flags = EX_APART),
    CASE("a-refusal-is-by-a-holder-that-lives", "R11", "R11|P|J", .settler_dies = true, .flags = EX_APART),
    CASE("the-next-tenant-of-a-slot-is-not-the-last", "R11", "F1 D1|P|J", .settler_dies = true, .flags = EX_APART),
    CASE("what-the-dead-had-is-not-changed", "R11m", "M1|P|J", .settler_dies = true, .flags = EX_APART),
    CASE("who-leaves-may-die", "", "R11 L|P F1", .deaths = 1),

    /* threads of one process: one owner, one executor */
    CASE("threads-do-not-meet-in-a-record", "", "R11 U1|R11|C", .flags = EX_THREADS),
    CASE("threads-take-turns-collecting", "R11 U1", "R11|C|C", .flags = EX_THREADS),
    CASE("threads-reap-together", "R11", "P|P R11", .settler_dies = true, .flags = EX_THREADS),
    CASE("threads-die-together", "", "R11|R21", .deaths = 1, .flags = EX_THREADS),

    /* growing and running out */
    CASE("slabs-grow-once", "", "R11m|R21", .flags = EX_GROWS),
    CASE("a-grower-that-dies-stops-nobody", "", "R11|R21", .deaths = 1, .flags = EX_GROWS),
    CASE("full-is-told-and-leaves-nothing", "R11", "R21|R31 U3", .services = 2, .flags = EX_MAY_BE_FULL),
    CASE("the-dead-make-room", "R11", "R21|R31", .settler_dies = true, .services = 2, .flags = EX_MAY_BE_FULL),
};
const size_t ex_case_count = sizeof ex_cases / sizeof ex_cases[0];
