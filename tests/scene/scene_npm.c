/* Clients as their users install them, from build/npm, where tools/check/npm brings them: OpenAI's for Node, and ws on both sides. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors.h"

/* Says so once where it is not, so that a skipped scene is seen. */
static bool has_package(const char *name)
{
    char path[200];

    if (!has_program("node"))
        return false;
    snprintf(path, sizeof path, "build/npm/node_modules/%s/package.json", name);
    if (access(path, R_OK) == 0)
        return true;
    printf("skipped: the npm package %s is not in build/npm (tools/check/npm brings it)\n", name);
    return false;
}

static void run_script(const char *name, uint16_t worker, uint16_t model, const char *said)
{
    int status;
    char *out = shell(&status, "VW_NPM=\"$PWD/build/npm\" node tests/npm/%s %u %u", name, worker, model);

    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(out, said);
    free(out);
}

#define CLIENT_OF_OPENAI "{'modelServerUrl': 'http://127.0.0.1:%u', 'bearerKeysFile': '%s', 'unsecured': true, 'limits': {'maxBodyBytes': 1000000}, " \
                         "'maxPerf': 1, 'handlers': [" \
                         "{'route': '/v1/*', 'methods': ['GET', 'POST'], 'auth': 'bearer', 'allowParallelRequests': true, 'maxQueueTime': null}, " \
                         "{'route': '/v1/embeddings', 'auth': 'bearer', 'allowParallelRequests': true, 'workloadCalculator': 'embeddings', 'maxQueueTime': null}, " \
                         "{'route': '/one/v1/*', 'targetPath': '/v1/*', 'auth': 'bearer', 'maxQueueTime': 0}, " \
                         "{'route': '/vast', 'targetPath': '/v1/completions'}]}"

START_TEST(the_client_of_openai_meets_what_it_knows)
{
    char *keys, *config = NULL;
    struct program *sim;
    struct worker *w;
    uint16_t port;

    if (!has_package("openai"))
        return;
    keys = temp_file("keys", "another-key\nright-key\n");
    sim = program_start((const char *const[]){ SIM, "model", "--token-ms", "1", "--load-after-ms", "0", NULL }, NULL);
    port = program_port(sim, "model http://127.0.0.1:");
    ck_assert_int_gt(asprintf(&config, CLIENT_OF_OPENAI, port, keys), 0);
    w = worker_start_ready(NULL, NULL, config);
    run_script("openai_client.mjs", worker_port(w), port, "openai client: all well\n");
    ck_assert(!worker_logged(w, "right-key") && !worker_logged(w, "wrong-key"));
    ck_assert_int_eq(worker_finish(w), VW_OK);
    program_signal(sim, SIGTERM);
    ck_assert_int_eq(program_wait(sim), 0);
    program_free(sim);
    free(config);
    free(keys);
}
END_TEST

START_TEST(ws_talks_to_ws)
{
    char *config = NULL;
    struct worker *w;
    uint16_t port = free_port();

    if (!has_package("ws"))
        return;
    ck_assert_int_gt(asprintf(&config, "{'modelServerUrl': 'http://127.0.0.1:%u', 'handlers': [{'route': '/ws', 'methods': ['GET'], 'auth': 'none', "
                                       "'upgrade': ['websocket'], 'allowParallelRequests': true}]}", port), 0);
    w = worker_start(NULL, NULL, config);
    run_script("websocket.mjs", worker_port(w), port, "websocket: all well\n");
    ck_assert_int_eq(worker_finish(w), VW_OK);
    free(config);
}
END_TEST

Suite *npm_suite(void);

Suite *npm_suite(void)
{
    Suite *s = suite_create("npm");
    TCase *tc = tcase_create("npm");

    tcase_add_test(tc, the_client_of_openai_meets_what_it_knows);
    tcase_add_test(tc, ws_talks_to_ws);
    suite_add_tcase(s, tc);
    return s;
}
