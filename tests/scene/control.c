/* The control plane: serves the key, takes reports and deletions, can be told to fail. Signs as the platform does (scheme S3). */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "actors.h"
#include "server.h"

/* Made once in scene_init(), before the tests are forked. */
static EVP_PKEY *keys[2];

struct control {
    struct server *server;
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint16_t port;
    json_t *reports, *deletions; /* of accepted calls */
    json_t *deletion_bodies, *refused_bodies;
    const char *fail_text; /* borrowed; NULL: none */
    int fail_text_status;
    int fail_status;
    unsigned fail_times;
    unsigned held, refused, keys_sent;
    bool fail_for_ever, withhold_key, hold, stopping;
    int key; /* index into keys */
    unsigned lose, taken;
    control_tap_fn tap;
    void *tap_arg;
};

void scene_init(void)
{
    keys[0] = EVP_RSA_gen(2048);
    keys[1] = EVP_RSA_gen(2048);
    if (!keys[0] || !keys[1])
        abort(); /* not yet inside a test, where check could say so */
}

static bool fails_now(struct control *c, const struct served *rq, int *ret_status)
{
    if (c->fail_text && rq->body && strstr(rq->body, c->fail_text)) {
        *ret_status = c->fail_text_status;
        return true;
    }
    if (!c->fail_for_ever && !c->fail_times)
        return false;
    if (c->fail_times)
        c->fail_times--;
    *ret_status = c->fail_status;
    return true;
}

static bool answer_key(struct control *c, const struct served *rq)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *pem;
    long len;
    bool ok;

    PEM_write_bio_PUBKEY(bio, keys[c->key]);
    len = BIO_get_mem_data(bio, &data);
    pem = strndup(data, (size_t)len);
    ok = send_answer(rq, 200, "text/plain", pem);
    free(pem);
    BIO_free(bio);
    return ok;
}

static void keep(struct control *c, const struct served *rq, json_t *body)
{
    if (strcmp(rq->target, "/worker_status/") == 0) {
        json_array_append(c->reports, body);
    } else {
        json_array_append(c->deletion_bodies, body);
        json_array_extend(c->deletions, json_object_get(body, "requests")); /* none in the older form */
    }
}

/* The worker stopped waiting for this answer, as it does when a machine with other work is too slow for it. */
static bool has_left(const struct served *rq)
{
    char byte;
    ssize_t n = recv(rq->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* False: taken, but the answer is lost. */
static bool take(struct control *c, const struct served *rq)
{
    json_t *body = json_loadb(rq->body, rq->len, 0, NULL);
    bool lost = c->lose > 0;

    ck_assert_msg(body != NULL, "the control plane got a body that is no JSON");
    c->lose -= lost;
    c->taken++;
    if (c->tap)
        c->tap(c->tap_arg, rq->target, body, !lost && !has_left(rq));
    else if (!lost)
        keep(c, rq, body);
    json_decref(body);
    pthread_cond_broadcast(&c->news);
    return !lost;
}

/* False: the scene is over, or this address is down. */
static bool wait_let_go(struct control *c)
{
    c->held++;
    pthread_cond_broadcast(&c->news);
    while (c->hold && !c->stopping)
        pthread_cond_wait(&c->news, &c->lock);
    c->held--;
    return !c->stopping;
}

static bool on_request(void *arg, struct served *rq)
{
    struct control *c = arg;
    bool is_key = strcmp(rq->target, "/pubkey/") == 0;
    int status = 200;
    bool ok;

    pthread_mutex_lock(&c->lock);
    if (!is_key && c->hold && !wait_let_go(c)) {
        ok = false;
    } else if (fails_now(c, rq, &status)) {
        c->refused += !is_key;
        if (!is_key)
            json_array_append_new(c->refused_bodies, json_loadb(rq->body, rq->len, 0, NULL));
        pthread_cond_broadcast(&c->news);
        ok = send_answer(rq, status, "application/json", "{}");
    } else if (is_key) {
        c->keys_sent += !c->withhold_key;
        ok = c->withhold_key ? send_answer(rq, 503, "text/plain", "") : answer_key(c, rq);
    } else {
        ok = take(c, rq) && send_answer(rq, 200, "application/json", "{}");
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}

struct control *control_start(void)
{
    struct control *c = calloc(1, sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->news, NULL);
    c->reports = json_array();
    c->deletions = json_array();
    c->deletion_bodies = json_array();
    c->refused_bodies = json_array();
    c->server = server_start(0, on_request, c);
    c->port = server_port(c->server);
    return c;
}

uint16_t control_port(const struct control *c) { return c->port; }

void control_down(struct control *c)
{
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    if (c->server)
        server_stop(c->server);
    c->server = NULL;
}

void control_up(struct control *c)
{
    c->stopping = false;
    c->server = server_start(c->port, on_request, c);
}

void control_stop(struct control *c)
{
    control_down(c);
    json_decref(c->reports);
    json_decref(c->deletions);
    json_decref(c->deletion_bodies);
    json_decref(c->refused_bodies);
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void control_fail(struct control *c, int status, unsigned times)
{
    pthread_mutex_lock(&c->lock);
    c->fail_status = status;
    c->fail_times = times;
    c->fail_for_ever = status && !times;
    pthread_mutex_unlock(&c->lock);
}

void control_fail_on(struct control *c, const char *text, int status)
{
    pthread_mutex_lock(&c->lock);
    c->fail_text = text;
    c->fail_text_status = status;
    pthread_mutex_unlock(&c->lock);
}

void control_rotate_key(struct control *c)
{
    pthread_mutex_lock(&c->lock);
    c->key = !c->key;
    pthread_mutex_unlock(&c->lock);
}

void control_hold(struct control *c, bool hold)
{
    pthread_mutex_lock(&c->lock);
    c->hold = hold;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
}

void control_lose(struct control *c, unsigned n)
{
    pthread_mutex_lock(&c->lock);
    c->lose = n;
    pthread_mutex_unlock(&c->lock);
}

void control_tap(struct control *c, control_tap_fn fn, void *arg)
{
    pthread_mutex_lock(&c->lock);
    c->tap = fn;
    c->tap_arg = arg;
    pthread_mutex_unlock(&c->lock);
}

void control_withhold_key(struct control *c, bool withhold)
{
    pthread_mutex_lock(&c->lock);
    c->withhold_key = withhold;
    pthread_mutex_unlock(&c->lock);
}

static void wait_news(struct control *c, const struct timespec *until, const char *what)
{
    if (pthread_cond_timedwait(&c->news, &c->lock, until) != 0) {
        char *last = json_dumps(json_array_get(c->reports, json_array_size(c->reports) - 1), 0);

        ck_abort_msg("the control plane waited in vain for %s; the last report was %s", what, last ? last : "none");
    }
}

static void set_deadline(struct timespec *ts)
{
    clock_gettime(CLOCK_REALTIME, ts);
    ts->tv_sec += PATIENCE_S;
}

json_t *control_wait_report(struct control *c, bool (*test)(const json_t *report, void *arg), void *arg)
{
    struct timespec until;
    json_t *found = NULL;
    size_t i = 0;

    set_deadline(&until);
    pthread_mutex_lock(&c->lock);
    for (;;) {
        for (; i < json_array_size(c->reports) && !found; i++)
            if (test(json_array_get(c->reports, i), arg))
                found = json_incref(json_array_get(c->reports, i));
        if (found)
            break;
        wait_news(c, &until, "a report");
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static bool is_ready(const json_t *report, void *arg)
{
    double loadtime = json_number_value(json_object_get(report, "loadtime"));
    bool ready = loadtime > 0 && json_number_value(json_object_get(report, "max_perf")) > 0;

    return ready == *(bool *)arg;
}

json_t *control_wait_state(struct control *c, bool ready) { return control_wait_report(c, is_ready, &ready); }

static json_t *wait_list(struct control *c, const json_t *list, unsigned n, const char *what)
{
    struct timespec until;
    json_t *copy;

    set_deadline(&until);
    pthread_mutex_lock(&c->lock);
    while (json_array_size(list) < n)
        wait_news(c, &until, what);
    copy = json_deep_copy(list);
    pthread_mutex_unlock(&c->lock);
    return copy;
}

static void wait_count(struct control *c, const unsigned *what, unsigned n, const char *name)
{
    struct timespec until;

    set_deadline(&until);
    pthread_mutex_lock(&c->lock);
    while (*what < n)
        wait_news(c, &until, name);
    pthread_mutex_unlock(&c->lock);
}

static json_t *bodies(struct control *c, const char *path)
{
    return strcmp(path, "/worker_status/") == 0 ? c->reports : c->deletion_bodies;
}

void control_wait_deletions(struct control *c, unsigned n) { json_decref(wait_list(c, c->deletions, n, "deletions")); }
void control_wait_held(struct control *c, unsigned n) { wait_count(c, &c->held, n, "a call to hold"); }
void control_wait_refused(struct control *c, unsigned n) { wait_count(c, &c->refused, n, "a call to refuse"); }
json_t *control_deletions(struct control *c) { return wait_list(c, c->deletions, 0, ""); }
json_t *control_refused_bodies(struct control *c) { return wait_list(c, c->refused_bodies, 0, ""); }
json_t *control_bodies(struct control *c, const char *path) { return wait_list(c, bodies(c, path), 0, ""); }
json_t *control_wait_bodies(struct control *c, const char *path, unsigned n) { return wait_list(c, bodies(c, path), n, path); }

double control_sum(struct control *c, const char *field)
{
    double sum = 0;
    size_t i;

    pthread_mutex_lock(&c->lock);
    for (i = 0; i < json_array_size(c->reports); i++)
        sum += json_number_value(json_object_get(json_array_get(c->reports, i), field));
    pthread_mutex_unlock(&c->lock);
    return sum;
}

json_t *control_last_report(struct control *c)
{
    json_t *last = NULL;

    pthread_mutex_lock(&c->lock);
    if (json_array_size(c->reports))
        last = json_deep_copy(json_array_get(c->reports, json_array_size(c->reports) - 1));
    pthread_mutex_unlock(&c->lock);
    return last;
}

unsigned control_reports(struct control *c)
{
    unsigned n;

    pthread_mutex_lock(&c->lock);
    n = (unsigned)json_array_size(c->reports);
    pthread_mutex_unlock(&c->lock);
    return n;
}

unsigned control_taken(struct control *c)
{
    unsigned n;

    pthread_mutex_lock(&c->lock);
    n = c->taken;
    pthread_mutex_unlock(&c->lock);
    return n;
}

unsigned control_keys_sent(struct control *c)
{
    unsigned n;

    pthread_mutex_lock(&c->lock);
    n = c->keys_sent;
    pthread_mutex_unlock(&c->lock);
    return n;
}

char *sign(struct control *c, const char *url)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    char text[1024], *base64;
    unsigned char raw[512];
    size_t len = sizeof raw;

    snprintf(text, sizeof text, "{\n    \"url\": \"%s\"\n}", url);
    ck_assert_int_eq(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, keys[c->key]), 1);
    ck_assert_int_eq(EVP_DigestSign(md, raw, &len, (const unsigned char *)text, strlen(text)), 1);
    base64 = malloc(len * 2);
    EVP_EncodeBlock((unsigned char *)base64, raw, (int)len);
    EVP_MD_CTX_free(md);
    return base64;
}

char *envelope_signed(const char *signature, long request_idx, const char *payload)
{
    char *json = quoted(payload), *text = NULL;

    ck_assert_int_gt(asprintf(&text,
                              "{\"auth_data\": {\"cost\": 100.0, \"endpoint\": \"ep\", \"reqnum\": %ld, \"request_idx\": %ld, "
                              "\"signature\": \"%s\", \"url\": \"" URL "\"}, \"session_id\": null, \"payload\": %s}",
                              request_idx, request_idx, signature, json),
                     0);
    free(json);
    return text;
}

char *envelope(struct control *c, long request_idx, const char *payload)
{
    char *signature = c ? sign(c, URL) : strdup("bm9ib2R5"), *text = envelope_signed(signature, request_idx, payload);

    free(signature);
    return text;
}
