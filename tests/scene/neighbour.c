#include "neighbour.h"

#include <stdlib.h>
#include <string.h>

#include "actors.h"

struct neighbour neighbour_begin(uint16_t port)
{
    struct neighbour n = { client_connect(port), 0 };

    neighbour_serve(&n, "before");
    return n;
}

void neighbour_serve(struct neighbour *n, const char *when)
{
    struct answer a;

    client_send(n->fd, "GET /m/x HTTP/1.1\r\nHost: neighbour\r\n\r\n");
    a = client_read(n->fd);
    ck_assert_msg(a.status == 200 && !a.cut, "%s, the neighbour got %d%s", when, a.status, a.cut ? " and a cut" : "");
    ck_assert_str_eq(answer_header(&a, "connection"), "");
    answer_fini(&a);
    n->served++;
}

void neighbour_end(struct neighbour *n) { client_close(n->fd); }

double neighbour_sees(struct neighbour *n, const char *sample)
{
    struct answer a;
    char *line;
    double value;

    client_send(n->fd, "GET /metrics HTTP/1.1\r\nHost: neighbour\r\n\r\n");
    a = client_read(n->fd);
    ck_assert_int_eq(a.status, 200);
    for (line = strstr(a.body, sample); line && line != a.body && line[-1] != '\n';)
        line = strstr(line + 1, sample);
    ck_assert_msg(line != NULL, "no sample %s in:\n%s", sample, a.body);
    value = strtod(line + strlen(sample), NULL);
    answer_fini(&a);
    return value;
}

void neighbour_wait_alone(struct neighbour *n)
{
    double give_up = patience();

    while (neighbour_sees(n, "vastworker_client_connections ") > 1) {
        ck_assert_msg(now_s() < give_up, "a connection stays open");
        nap();
    }
}

double neighbour_count_turns(struct neighbour *n)
{
    double before = neighbour_sees(n, "vastworker_loop_turn_cpu_seconds_count "), over = now_s() + 1;

    while (now_s() < over)
        nap();
    return neighbour_sees(n, "vastworker_loop_turn_cpu_seconds_count ") - before;
}
