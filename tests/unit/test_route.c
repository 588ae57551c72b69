/* Which handler a request belongs to, and the path it gets at the model server. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "core/route.h"

Suite *route_suite(void);

#define MAX 16

/* Handlers from lines "METHOD,METHOD ROUTE". */
struct table {
    struct vwi_handler_conf items[MAX];
    char *methods[MAX][8], text[MAX][128];
    struct vwi_handlers_conf conf;
    struct vwi_routes *routes;
};

static void add(struct table *t, const char *line)
{
    size_t at = t->conf.count++;
    struct vwi_handler_conf *h = &t->items[at];
    char *text = t->text[at], *next;

    snprintf(text, sizeof t->text[at], "%s", line);
    h->route = strchr(text, ' ') + 1;
    h->route[-1] = '\0';
    h->methods.items = t->methods[at];
    for (; text; text = next) {
        next = strchr(text, ',');
        if (next)
            *next++ = '\0';
        h->methods.items[h->methods.count++] = text;
    }
    t->conf.items = t->items;
}

static void build(struct table *t, const char *const *lines, size_t count)
{
    vw_error_t why = { VW_OK, "" };
    size_t i;

    memset(t, 0, sizeof *t);
    for (i = 0; i < count; i++)
        add(t, lines[i]);
    ck_assert_msg(vwi_routes_create(&t->conf, &t->routes, &why) == VW_OK, "%s", why.text);
}

static struct vwi_span span(const char *text) { return (struct vwi_span){ text, strlen(text) }; }

/* The index of the handler, or the verdict as a negative number. */
static int find(const struct table *t, const char *method, const char *target)
{
    size_t handler = 99;
    enum vwi_route_verdict verdict = vwi_routes_find(t->routes, span(method), span(target), &handler, NULL);

    if (verdict != VWI_ROUTE_FOUND)
        ck_assert_uint_eq(handler, 99);
    return verdict == VWI_ROUTE_FOUND ? (int)handler : -(int)verdict;
}

static const char *const ordinary[] = { "POST /v1/embeddings", "POST /v1/*",   "* /v1/models/*",
                                        "GET,POST /",          "GET /files/*", "POST /v1/models/x" };

START_TEST(exact_wins_over_the_longest_prefix)
{
    static const struct {
        const char *method, *target;
        int found;
    } cases[] = {
        { "POST", "/v1/embeddings", 0 },
        { "POST", "/v1/embeddings?api_key=x", 0 },
        { "POST", "/v1/embeddings/", 1 },
        { "POST", "/v1/other", 1 },
        { "POST", "/v1/", 1 },
        { "POST", "/v1", -VWI_ROUTE_NONE },
        { "POST", "/v1?x=/y", -VWI_ROUTE_NONE },
        { "POST", "/v1x/y", -VWI_ROUTE_NONE },
        { "POST", "/V1/x", -VWI_ROUTE_NONE },
        { "PUT", "/v1/models/y", 2 },
        { "POST", "/v1/models/x", 5 },
        { "POST", "/v1/models", 1 },
        { "POST", "/v1/models/", 2 },
        { "POST", "/v1/a/b/c/d", 1 },
        { "GET", "/", 3 },
        { "GET", "/?a", 3 },
        { "GET", "", -VWI_ROUTE_NONE },
        { "GET", "*", -VWI_ROUTE_NONE },
        { "GET", "//", -VWI_ROUTE_NONE },
        { "POST", "/v1//x", 1 },
    };
    struct table t;
    size_t i;

    build(&t, ordinary, VWI_ARRAY_LEN(ordinary));
    for (i = 0; i < VWI_ARRAY_LEN(cases); i++)
        ck_assert_msg(find(&t, cases[i].method, cases[i].target) == cases[i].found, "%s %s: got %d", cases[i].method,
                      cases[i].target, find(&t, cases[i].method, cases[i].target));
    vwi_routes_destroy(t.routes);
}
END_TEST

START_TEST(catch_all_takes_everything)
{
    static const char *const lines[] = { "* /*" };
    struct table t;

    build(&t, lines, 1);
    ck_assert_int_eq(find(&t, "PROPFIND", "/"), 0);
    ck_assert_int_eq(find(&t, "GET", "/a/b?c"), 0);
    ck_assert_int_eq(find(&t, "GET", "*"), -VWI_ROUTE_NONE);
    vwi_routes_destroy(t.routes);
}
END_TEST

START_TEST(the_route_decides_about_the_method_alone)
{
    struct table t;
    struct vwi_text allow = VWI_TEXT_INIT;
    size_t handler = 0;

    build(&t, ordinary, VWI_ARRAY_LEN(ordinary));
    ck_assert_int_eq(find(&t, "PUT", "/v1/models/x"), -VWI_ROUTE_METHOD); /* although /v1/models has a handler for any method */
    ck_assert_int_eq(vwi_routes_find(t.routes, span("PUT"), span("/"), &handler, &allow), VWI_ROUTE_METHOD);
    ck_assert_str_eq(allow.p, "GET, POST, HEAD");
    vwi_text_clear(&allow);
    ck_assert_int_eq(vwi_routes_find(t.routes, span("GET"), span("/v1/x"), &handler, &allow), VWI_ROUTE_METHOD);
    ck_assert_str_eq(allow.p, "POST");
    vwi_text_fini(&allow);
    vwi_routes_destroy(t.routes);
}
END_TEST

START_TEST(one_route_in_several_handlers)
{
    static const char *const lines[] = { "POST /a", "GET /a", "* /a", "HEAD /b", "GET /b", "GET,HEAD /c" };
    struct table t;
    struct vwi_text allow = VWI_TEXT_INIT;
    size_t handler = 0;

    build(&t, lines, VWI_ARRAY_LEN(lines));
    ck_assert_int_eq(find(&t, "POST", "/a"), 0);
    ck_assert_int_eq(find(&t, "GET", "/a"), 1);
    ck_assert_int_eq(find(&t, "HEAD", "/a"), 1);
    ck_assert_int_eq(find(&t, "OPTIONS", "/a"), 2);
    ck_assert_int_eq(find(&t, "HEAD", "/b"), 3);
    ck_assert_int_eq(find(&t, "get", "/b"), -VWI_ROUTE_METHOD);
    ck_assert_int_eq(vwi_routes_find(t.routes, span("OPTIONS"), span("/b"), &handler, &allow), VWI_ROUTE_METHOD);
    ck_assert_str_eq(allow.p, "HEAD, GET");
    vwi_text_fini(&allow);
    vwi_routes_destroy(t.routes);
}
END_TEST

START_TEST(climbing_out_of_a_prefix_is_bad)
{
    static const struct {
        const char *target;
        int found;
    } cases[] = {
        { "/v1/../x", -VWI_ROUTE_BAD },
        { "/v1/..", -VWI_ROUTE_BAD },
        { "/v1/./x", -VWI_ROUTE_BAD },
        { "/v1/.", -VWI_ROUTE_BAD },
        { "/v1/a/..?x", -VWI_ROUTE_BAD },
        { "/v1/%2e%2e/x", -VWI_ROUTE_BAD },
        { "/v1/x%2Fy", -VWI_ROUTE_BAD },
        { "/v1/a.%2E", -VWI_ROUTE_BAD },
        { "/v1/a\\b", -VWI_ROUTE_BAD },
        { "/v1/%5c..", -VWI_ROUTE_BAD },
        { "/v1/%2fetc", -VWI_ROUTE_BAD },
        { "/../v1/x", -VWI_ROUTE_NONE },
        { "/v1/...", 1 },
        { "/v1/.hidden", 1 },
        { "/v1/a..b/..c", 1 },
        { "/v1/x%20y", 1 },
        { "/v1/x%2", 1 },
        { "/v1/x%", 1 },
        { "/v1/x%2g", 1 },
        { "/v1/x?../..\\%2e", 1 },
        { "/v1/a%252e", 1 },
    };
    struct table t;
    size_t i;

    build(&t, ordinary, VWI_ARRAY_LEN(ordinary));
    for (i = 0; i < VWI_ARRAY_LEN(cases); i++)
        ck_assert_msg(find(&t, "POST", cases[i].target) == cases[i].found, "%s: got %d", cases[i].target,
                      find(&t, "POST", cases[i].target));
    vwi_routes_destroy(t.routes);
}
END_TEST

START_TEST(many_routes_are_all_found)
{
    enum { COUNT = 1000 };
    static struct vwi_handler_conf items[COUNT];
    static char routes[COUNT][32];
    char post[] = "POST", *methods[] = { post };
    struct vwi_handlers_conf conf = { items, COUNT, NULL, 0 };
    struct table t = { .routes = NULL };
    char target[64];
    int i;

    for (i = 0; i < COUNT; i++) {
        snprintf(routes[i], sizeof routes[i], i % 2 ? "/r%d/*" : "/r%d", i);
        items[i].route = routes[i];
        items[i].methods = (struct vwi_strings){ methods, 1 };
    }
    ck_assert_int_eq(vwi_routes_create(&conf, &t.routes, NULL), VW_OK);
    for (i = 0; i < COUNT; i++) {
        snprintf(target, sizeof target, i % 2 ? "/r%d/deep/er" : "/r%d", i);
        ck_assert_int_eq(find(&t, "POST", target), i);
        snprintf(target, sizeof target, i % 2 ? "/r%d" : "/r%d/", i);
        ck_assert_int_eq(find(&t, "POST", target), -VWI_ROUTE_NONE);
    }
    vwi_routes_destroy(t.routes);
}
END_TEST

START_TEST(finding_allocates_nothing)
{
    struct table t;

    build(&t, ordinary, VWI_ARRAY_LEN(ordinary));
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(find(&t, "POST", "/v1/x"), 1);
    ck_assert_int_eq(find(&t, "PUT", "/v1/x"), -VWI_ROUTE_METHOD);
    ck_assert_int_eq(find(&t, "POST", "/v1/.."), -VWI_ROUTE_BAD);
    vwi_mem_fail_never();
    vwi_routes_destroy(t.routes);
}
END_TEST

START_TEST(create_survives_each_failed_allocation)
{
    struct table t = { .routes = NULL };
    vw_err err = VW_E_NOMEM;
    unsigned nth;

    add(&t, "GET,POST /a");
    for (nth = 0; err != VW_OK; nth++) {
        vw_error_t why = { VW_OK, "" };

        ck_assert_uint_lt(nth, 100);
        vwi_mem_fail_nth(nth);
        err = vwi_routes_create(&t.conf, &t.routes, &why);
        vwi_mem_fail_never();
        ck_assert(err == VW_OK || (err == VW_E_NOMEM && why.code == VW_E_NOMEM && !t.routes));
    }
    vwi_routes_destroy(t.routes);
    vwi_routes_destroy(NULL);
}
END_TEST

START_TEST(malformed_routes_are_refused)
{
    static const char *const bad[] = { "",     "a",     "*",    "/a*",   "/*/",    "/a?b", "/a#b",
                                       "/a b", "/../a", "/a/.", "/%2e/", "/a%5Cb", "/\x80" };
    static const char *const good[] = { "/", "/*", "/a", "/a/", "/a/*", "/a/b.c/..d", "/a%20b", "/~u/-_:@!$&'()+,;=" };
    struct table t = { .routes = NULL };
    vw_error_t why = { VW_OK, "" };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(bad); i++)
        ck_assert_msg(vwi_route_problem(bad[i]) != NULL, "%s", bad[i]);
    for (i = 0; i < VWI_ARRAY_LEN(good); i++)
        ck_assert_msg(vwi_route_problem(good[i]) == NULL, "%s", good[i]);
    add(&t, "GET /a");
    add(&t, "GET b");
    ck_assert_int_eq(vwi_routes_create(&t.conf, &t.routes, &why), VW_E_CONFIG);
    ck_assert_str_eq(why.text, "handlers[1].route: expected a path (\"/v1/x\"), or a prefix that ends in \"/*\"");
}
END_TEST

START_TEST(target_is_rewritten_and_the_query_cleaned)
{
    static const struct {
        const char *route, *target_path, *target;
        bool keep_query;
        const char *out;
    } cases[] = {
        { "/a", NULL, "/a", true, "/a" },
        { "/a", NULL, "/a?x=1", false, "/a" },
        { "/a", NULL, "/a?x=1", true, "/a?x=1" },
        { "/a", "/b/c", "/a?x=1", true, "/b/c?x=1" },
        { "/v1/*", NULL, "/v1/x/y?q", true, "/v1/x/y?q" },
        { "/v1/*", "/api/*", "/v1/x/y", true, "/api/x/y" },
        { "/v1/*", "/*", "/v1/x/y", true, "/x/y" },
        { "/v1/*", "/api/*", "/v1/", true, "/api/" },
        { "/v1/*", "/api", "/v1/x", true, "/api" },
        { "/*", "/v2/*", "/a//b/", true, "/v2/a//b/" },
        { "/a", NULL, "/a?", true, "/a" },
        { "/a", NULL, "/a?api_key=s", true, "/a" },
        { "/a", NULL, "/a?api_key", true, "/a" },
        { "/a", NULL, "/a?api_key=s&x=1&serverless_url=http://h&y", true, "/a?x=1&y" },
        { "/a", NULL, "/a?x=1&api%5fkey=s&%73erverless_cost=1", true, "/a?x=1" },
        { "/a", NULL, "/a?api_keys=1&myapi_key=2&serverless=3&SERVERLESS_x=4", true,
          "/a?api_keys=1&myapi_key=2&serverless=3&SERVERLESS_x=4" },
        { "/a", NULL, "/a?x=api_key=1&&y=?", true, "/a?x=api_key=1&&y=?" },
        { "/a", NULL, "/a?text=a;b;&c=1;", true, "/a?text=a;b;&c=1;" },
        { "/a", NULL, "/a?x=1;api_key=s;y=2&serverless_url=u;z", true, "/a?x=1;y=2;z" },
        { "/a", NULL, "/a?%61%70%69%5F%6B%65%79=s&API_KEY=1&api_key%3Ds&%2561pi_key=2", true, "/a?API_KEY=1&api_key%3Ds&%2561pi_key=2" },
        { "/a", NULL, "/a?serverless%5furl=u&serverles%73_%75rl=u&api_key%=1&api_ke%7=1", true, "/a?api_key%=1&api_ke%7=1" },
        { "/a", NULL, "/a?x&", true, "/a?x&" },
        { "/a", NULL, "/a?&api_key=s&", true, "/a?&" },
        { "/a", NULL, "/a?api_key=s&", true, "/a?" },
        { "/a", NULL, "/a?api_key=s=t?u/v", true, "/a" },
        { "/a", NULL, "/a?serverless_=1&api_key=&%zz=1&%", true, "/a?%zz=1&%" },
    };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(cases); i++) {
        char route[64], path[64];
        struct vwi_handler_conf handler = { .route = route, .target_path = cases[i].target_path ? path : NULL };
        struct vwi_text out = VWI_TEXT_INIT;

        snprintf(route, sizeof route, "%s", cases[i].route);
        snprintf(path, sizeof path, "%s", cases[i].target_path ? cases[i].target_path : "");
        ck_assert(vwi_route_target(&handler, span(cases[i].target), cases[i].keep_query, &out));
        ck_assert_str_eq(out.p, cases[i].out);
        vwi_text_fini(&out);
        vwi_mem_fail_nth(0);
        ck_assert(!vwi_route_target(&handler, span(cases[i].target), cases[i].keep_query, &out));
        vwi_mem_fail_never();
        vwi_text_fini(&out);
    }
}
END_TEST

Suite *route_suite(void)
{
    Suite *suite = suite_create("route");
    TCase *tcase = tcase_create("route");

    tcase_add_test(tcase, exact_wins_over_the_longest_prefix);
    tcase_add_test(tcase, catch_all_takes_everything);
    tcase_add_test(tcase, the_route_decides_about_the_method_alone);
    tcase_add_test(tcase, one_route_in_several_handlers);
    tcase_add_test(tcase, climbing_out_of_a_prefix_is_bad);
    tcase_add_test(tcase, many_routes_are_all_found);
    tcase_add_test(tcase, finding_allocates_nothing);
    tcase_add_test(tcase, create_survives_each_failed_allocation);
    tcase_add_test(tcase, malformed_routes_are_refused);
    tcase_add_test(tcase, target_is_rewritten_and_the_query_cleaned);
    suite_add_tcase(suite, tcase);
    return suite;
}
