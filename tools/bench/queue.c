/*
 * What a place in the queue costs while so many wait: entering, leaving, getting a turn and running out of time, in nanoseconds of
 * processor time. Tickets come and go in random order, with priorities and deadlines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/queue.h"

#define ROUNDS 9
#define CALLS 100000 /* at least, in each round */

enum { ENTER, LEAVE, TURN, EXPIRE, KINDS };

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned long long random_state = 20260101;

static unsigned next_random(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(random_state >> 33);
}

/* All but the one that has the slot; a new order each time. */
static void shuffle(struct vwi_ticket **order, size_t count)
{
    size_t i;

    for (i = count - 1; i > 0; i--) {
        size_t j = next_random() % (i + 1);
        struct vwi_ticket *t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
}

static void check(bool good)
{
    if (!good) {
        fprintf(stderr, "queue: not what was expected\n");
        exit(1);
    }
}

static void fill(struct vwi_queue *q, struct vwi_ticket **order, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        int64_t at_ms = (int64_t)i / 100;
        struct vwi_wish wish = { 0, (int)(next_random() % 21) - 10, at_ms + 1 + next_random() % 30000 };

        check(vwi_queue_enter(q, order[i], &wish, at_ms) == VWI_TURN_WAIT);
    }
}

/* Empties what was filled in one of three ways; returns the seconds it took. */
static double empty(struct vwi_queue *q, struct vwi_ticket **order, struct vwi_ticket **holder, size_t count, int kind)
{
    double from = cpu_s();
    size_t i;

    for (i = 0; i < count; i++) {
        struct vwi_ticket *t;

        switch (kind) {
        case LEAVE: check(!vwi_queue_leave(q, order[i])); break;
        case EXPIRE: check(vwi_queue_expired(q, INT64_MAX) != NULL); break;
        default:
            t = vwi_queue_leave(q, *holder);
            check(t != NULL);
            *holder = t;
            break;
        }
    }
    return cpu_s() - from;
}

static void measure(size_t count)
{
    struct vwi_lane_conf lane = { (char[]){ "bench" }, 1, (unsigned)count };
    struct vwi_ticket *tickets = calloc(count + 1, sizeof *tickets), **order = calloc(count + 1, sizeof *order), *holder;
    size_t i, repeat, repeats = CALLS / count > 1 ? CALLS / count : 1;
    double best[KINDS] = { 1e9, 1e9, 1e9, 1e9 };
    struct vwi_queue *q = NULL;
    int kind, round;

    check(tickets && order && vwi_queue_create(&lane, 1, &q, NULL) == VW_OK);
    for (i = 0; i <= count; i++)
        order[i] = &tickets[i];
    holder = &tickets[count];
    check(vwi_queue_enter(q, holder, &(struct vwi_wish){ 0, 0, -1 }, 0) == VWI_TURN_RUN);
    for (round = 0; round < ROUNDS; round++)
        for (kind = LEAVE; kind < KINDS; kind++) {
            double entering = 0, emptying = 0;

            for (repeat = 0; repeat < repeats; repeat++) {
                double from;

                for (i = 0; i <= count && order[i] != holder; i++)
                    continue;
                order[i] = order[count];
                order[count] = holder;
                shuffle(order, count);
                from = cpu_s();
                fill(q, order, count);
                entering += cpu_s() - from;
                shuffle(order, count);
                emptying += empty(q, order, &holder, count, kind);
            }
            entering /= (double)(repeats * count);
            emptying /= (double)(repeats * count);
            best[ENTER] = entering < best[ENTER] ? entering : best[ENTER];
            best[kind] = emptying < best[kind] ? emptying : best[kind];
        }
    printf("%8zu waiting: %12.0f %12.0f %12.0f %12.0f\n", count, best[ENTER] * 1e9, best[LEAVE] * 1e9, best[TURN] * 1e9, best[EXPIRE] * 1e9);
    vwi_queue_destroy(q);
    free(order);
    free(tickets);
}

int main(void)
{
    static const size_t counts[] = { 1000, 10000, 100000 };
    size_t i;

    printf("ns of CPU         %12s %12s %12s %12s\n", "enter", "leave", "next turn", "expire");
    for (i = 0; i < sizeof counts / sizeof counts[0]; i++)
        measure(counts[i]);
    return 0;
}
