#include "crowd.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define UNITS "'workloadCalculator': {'field': '/units'}"
#define PARALLEL "'allowParallelRequests': true, " UNITS
#define TUNNEL_UNITS 7
#define UPLOAD_UNIT 100 /* bytes */

#define MAX_SESSIONS 4

const char *const crowd_config =
    "{'maxPerf': 1000000, 'maxSessions': 4, 'lanes': {'b': {'maxQueueLength': 3}, 'c': {}}, 'handlers': ["
    "{'route': '/ok', " PARALLEL "}, {'route': '/status/*', " PARALLEL "}, {'route': '/vanish', " PARALLEL "}, "
    "{'route': '/reset', " PARALLEL "}, {'route': '/cut', " PARALLEL "}, {'route': '/cut-stream', " PARALLEL "}, "
    "{'route': '/flood', " PARALLEL "}, {'route': '/stream/*', " PARALLEL "}, {'route': '/text', 'requireJson': true, " PARALLEL "}, "
    "{'route': '/late', 'targetPath': '/hold', 'timeouts': {'firstByte': 0.1}, " PARALLEL "}, "
    "{'route': '/hold', 'maxConcurrency': 2, 'maxQueueTime': null, " PARALLEL "}, "
    "{'route': '/short', 'targetPath': '/hold', 'lane': 'b', 'maxQueueTime': 0.02, " UNITS "}, "
    "{'route': '/first', 'targetPath': '/hold', 'lane': 'b', 'priority': 1, 'maxQueueTime': 0.05, " UNITS "}, "
    "{'route': '/stop', 'targetPath': '/hold', 'maxConcurrency': 2, 'maxQueueTime': null, 'cancel': {'path': '/ok', 'grace': 5}, " PARALLEL "}, "
    "{'route': '/now', 'targetPath': '/hold', 'lane': 'c', 'maxQueueTime': 0, " UNITS "}, "
    "{'route': '/mirror', 'allowParallelRequests': true, 'workloadCalculator': {'bytes': 100}}, "
    "{'route': '/tunnel', 'methods': ['GET'], 'upgrade': ['websocket'], 'allowParallelRequests': true, 'workloadCalculator': 7}, "
    "{'route': '/key', 'targetPath': '/ok', 'auth': 'bearer', " PARALLEL "}, "
    "{'route': '/anybody', 'targetPath': '/echo', 'auth': 'none', " PARALLEL "}, "
    "{'route': '/job', 'targetPath': '/hold', 'auth': 'none', 'control': true}]}";

enum form {
    ENVELOPE,
    HEADER, /* auth_data in X-Vast-Auth, JSON body */
    UPLOAD, /* auth_data in X-Vast-Auth, bytes */
    TUNNEL,
    BEARER,
    OPEN,   /* no credentials */
    CREATE, /* a session */
    INSIDE, /* one */
    END,    /* of one */
    RAW     /* the body as it stands */
};

static const struct kind {
    const char *path, *body; /* body: of RAW */
    enum form form;
    unsigned share;
    bool dies;    /* the model breaks off: an answer that looks whole is an error all the same */
    bool endless; /* only the client can end it */
    bool unbooked;
    bool hasty; /* with a limit of its own on waiting */
} kinds[] = {
    { "/ok", NULL, ENVELOPE, 20, false, false, false, false },
    { "/ok", NULL, HEADER, 8, false, false, false, false },
    { "/hold", NULL, ENVELOPE, 20, false, false, false, false },
    { "/short", NULL, ENVELOPE, 20, false, false, false, false },
    { "/short", NULL, HEADER, 5, false, false, false, false },
    { "/first", NULL, ENVELOPE, 8, false, false, false, false },
    { "/hold", NULL, ENVELOPE, 6, false, false, false, true },
    { "/stop", NULL, ENVELOPE, 12, false, false, false, false },
    { "/now", NULL, ENVELOPE, 12, false, false, false, false },
    { "/stream/3", NULL, ENVELOPE, 10, false, false, false, false },
    { "/status/404", NULL, ENVELOPE, 5, false, false, false, false },
    { "/status/500", NULL, ENVELOPE, 5, false, false, false, false },
    { "/vanish", NULL, ENVELOPE, 5, true, false, false, false },
    { "/reset", NULL, ENVELOPE, 4, true, false, false, false },
    { "/cut", NULL, ENVELOPE, 4, true, false, false, false },
    { "/cut-stream", NULL, ENVELOPE, 4, true, false, false, false },
    { "/text", NULL, ENVELOPE, 4, false, false, false, false },
    { "/late", NULL, ENVELOPE, 9, false, false, false, false },
    { "/flood", NULL, ENVELOPE, 2, false, true, false, false },
    { "/mirror", NULL, UPLOAD, 6, false, false, false, false },
    { "/tunnel", NULL, TUNNEL, 6, false, true, false, false },
    { "/key", NULL, BEARER, 5, false, false, false, false },
    { "/anybody", NULL, OPEN, 4, false, false, false, false },
    { "/session/create", NULL, CREATE, 8, false, false, false, false },
    { "/ok", NULL, INSIDE, 8, false, false, false, false },
    { "/hold", NULL, INSIDE, 5, false, false, false, false },
    { "/stream/3", NULL, INSIDE, 3, false, false, false, false },
    { "/session/end", NULL, END, 4, false, false, true, false },
    { "/job", "{}", RAW, 5, false, false, true, false },
    { "/nowhere", "{}", RAW, 3, false, false, true, false },
    { "/ok", "{", RAW, 3, false, false, true, false },
    { "/ok", "{\"payload\": {}}", RAW, 3, false, false, true, false },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* One connection with one request. What is kept of the answer is its head and what tells whether it came whole. */
struct client {
    int fd;
    unsigned deed;
    char head[1024];
    size_t head_len;
    bool head_whole;
    size_t body_len;
    char tail[5], begin[80]; /* of the body */
};

/* One that was created and may have ended since. */
struct held {
    char id[16];
    unsigned deed; /* whose request made it */
};

struct crowd {
    struct crowd_setup setup;
    char *signature;
    struct deed *deeds;
    unsigned sent;
    struct client *open;
    unsigned open_count;
    struct held sessions[64]; /* the youngest */
    unsigned session_count;
    uint32_t dice;
    bool draining;
};

uint32_t crowd_roll(struct crowd *crowd, uint32_t sides)
{
    crowd->dice ^= crowd->dice << 13;
    crowd->dice ^= crowd->dice >> 17;
    crowd->dice ^= crowd->dice << 5;
    return crowd->dice % sides;
}

struct crowd *crowd_gather(const struct crowd_setup *setup)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);

    crowd->setup = *setup;
    crowd->dice = 2463534242u + 7919u * setup->seed;
    crowd->signature = sign(setup->control, URL);
    crowd->deeds = calloc(setup->requests + 2, sizeof *crowd->deeds);
    crowd->open = calloc(setup->at_once + 1, sizeof *crowd->open);
    return crowd;
}

void crowd_disperse(struct crowd *crowd)
{
    while (crowd->open_count)
        client_close(crowd->open[--crowd->open_count].fd);
    free(crowd->signature);
    free(crowd->deeds);
    free(crowd->open);
    free(crowd);
}

unsigned crowd_left(const struct crowd *crowd) { return crowd->open_count; }
const char *crowd_path(const struct deed *deed) { return kinds[deed->kind].path; }

const struct deed *crowd_deeds(const struct crowd *crowd, unsigned *ret_count)
{
    *ret_count = crowd->sent;
    return crowd->deeds;
}

static unsigned char any_kind(struct crowd *crowd)
{
    uint32_t all = 0, at;
    unsigned char i;

    for (i = 0; i < KINDS; i++)
        all += kinds[i].share;
    at = crowd_roll(crowd, all);
    for (i = 0; at >= kinds[i].share; i++)
        at -= kinds[i].share;
    return i;
}

/* ---- asking ---- */

static char *auth_data(const struct crowd *crowd, unsigned idx, double cost)
{
    char *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{\"cost\": %.1f, \"endpoint\": \"e\", \"reqnum\": 1, \"request_idx\": %u, \"signature\": \"%s\", "
                                     "\"url\": \"" URL "\"}", cost, idx, crowd->signature), 0);
    return text;
}

static char *auth_header(const struct crowd *crowd, unsigned idx)
{
    char *json = auth_data(crowd, idx, 1), *text = NULL;
    unsigned char base64[1024];

    ck_assert_uint_lt(strlen(json), 700);
    EVP_EncodeBlock(base64, (const unsigned char *)json, (int)strlen(json));
    ck_assert_int_gt(asprintf(&text, "X-Vast-Auth: %s\r\n", base64), 0);
    free(json);
    return text;
}

static char *envelope_of(const struct crowd *crowd, unsigned idx, double units)
{
    char *auth = auth_data(crowd, idx, 1), *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{\"auth_data\": %s, \"payload\": {\"units\": %.1f}}", auth, units), 0);
    free(auth);
    return text;
}

/* A session lives from a tenth of a second to half of one, and so much longer with each use. */
static char *session_of(struct crowd *crowd, unsigned idx, double units)
{
    char *auth = auth_data(crowd, idx, units), *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{\"auth_data\": %s, \"payload\": {\"lifetime\": %.1f%s}}", auth, 0.1 + crowd_roll(crowd, 5) * 0.1,
                              crowd_roll(crowd, 2) ? ", \"on_close_route\": \"/ok\"" : ""), 0);
    free(auth);
    return text;
}

static char *inside_of(const struct crowd *crowd, const struct held *session, unsigned idx, double units)
{
    char *auth = auth_data(crowd, idx, 1), *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{\"auth_data\": %s, \"session_id\": \"%s\", \"payload\": {\"units\": %.1f}}", auth, session->id, units), 0);
    free(auth);
    return text;
}

static char *end_of(const struct crowd *crowd, const struct held *session)
{
    char *auth = auth_data(crowd, session->deed, crowd->deeds[session->deed].units), *text = NULL;

    ck_assert_int_gt(asprintf(&text, "{\"session_auth\": %s, \"session_id\": \"%s\"}", auth, session->id), 0);
    free(auth);
    return text;
}

static const struct held *any_session(struct crowd *crowd)
{
    unsigned kept = crowd->session_count < 64 ? crowd->session_count : 64;

    return &crowd->sessions[(crowd->session_count - 1 - crowd_roll(crowd, kept < MAX_SESSIONS ? kept : MAX_SESSIONS)) % 64];
}

static char *body_of(struct crowd *crowd, const struct kind *kind, unsigned idx, double units)
{
    char *text = NULL;

    switch (kind->form) {
    case CREATE:
        return session_of(crowd, idx, units);
    case INSIDE:
        return inside_of(crowd, any_session(crowd), idx, units);
    case END:
        return end_of(crowd, any_session(crowd));
    case RAW:
        return strdup(kind->body);
    case ENVELOPE:
        return envelope_of(crowd, idx, units);
    case TUNNEL:
        return strdup("");
    case UPLOAD:
        text = malloc((size_t)(units * UPLOAD_UNIT) + 1);
        memset(text, 'u', (size_t)(units * UPLOAD_UNIT));
        text[(size_t)(units * UPLOAD_UNIT)] = '\0';
        return text;
    default:
        ck_assert_int_gt(asprintf(&text, "{\"units\": %.1f}", units), 0);
        return text;
    }
}

static char *headers_of(const struct crowd *crowd, const struct kind *kind, unsigned idx)
{
    char *auth, *text = NULL;

    switch (kind->form) {
    case HEADER:
        return auth_header(crowd, idx);
    case BEARER:
        return strdup("Authorization: Bearer " CROWD_KEY "\r\n");
    case UPLOAD:
    case TUNNEL:
        auth = auth_header(crowd, idx);
        ck_assert_int_gt(asprintf(&text, "%s%s", auth,
                                  kind->form == UPLOAD ? "Content-Type: application/octet-stream\r\n"
                                                       : "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 0);
        free(auth);
        return text;
    default:
        return strdup("");
    }
}

static double units_of(struct crowd *crowd, const struct kind *kind)
{
    double rolled = crowd_roll(crowd, 200) * 0.5;

    if (kind->form == TUNNEL)
        return TUNNEL_UNITS;
    return kind->form == UPLOAD ? (double)(int)rolled : rolled;
}

static void ask(struct crowd *crowd, unsigned char which, double units)
{
    const struct kind *kind = &kinds[which];
    struct client *client = &crowd->open[crowd->open_count++];
    unsigned idx = crowd->sent++;
    char *body = body_of(crowd, kind, idx, units), *headers = headers_of(crowd, kind, idx), *text = NULL;
    bool tunnel = kind->form == TUNNEL;

    ck_assert_int_gt(asprintf(&text, "%s %s HTTP/1.1\r\nHost: w\r\nConnection: %s\r\nContent-Length: %zu\r\n%s%s\r\n%s",
                              tunnel ? "GET" : "POST", kind->path, tunnel ? "upgrade" : "close", strlen(body), headers,
                              kind->hasty ? "X-Request-Timeout: 0.03\r\n" : "", body), 0);
    crowd->deeds[idx] = (struct deed){ .units = units, .kind = which, .told = (kind->form <= TUNNEL || kind->form == CREATE) && !kind->unbooked };
    *client = (struct client){ .fd = client_connect(crowd->setup.port), .deed = idx };
    client_send(client->fd, text);
    free(text);
    free(headers);
    free(body);
}

/* ---- listening ---- */

static void keep_tail(struct client *client, const char *data, size_t len)
{
    size_t take = len < sizeof client->tail ? len : sizeof client->tail;

    memmove(client->tail, client->tail + take, sizeof client->tail - take);
    memcpy(client->tail + sizeof client->tail - take, data + len - take, take);
    if (client->body_len < sizeof client->begin - 1) {
        size_t room = sizeof client->begin - 1 - client->body_len;

        memcpy(client->begin + client->body_len, data, len < room ? len : room);
    }
    client->body_len += len;
}

static void note(struct client *client, const char *data, size_t len)
{
    if (client->head_whole) {
        keep_tail(client, data, len);
        return;
    }
    for (; len; data++, len--) {
        ck_assert_uint_lt(client->head_len, sizeof client->head - 1);
        client->head[client->head_len++] = *data;
        client->head[client->head_len] = '\0';
        if (client->head_len >= 4 && memcmp(client->head + client->head_len - 4, "\r\n\r\n", 4) == 0) {
            client->head_whole = true;
            if (len > 1)
                keep_tail(client, data + 1, len - 1);
            return;
        }
    }
}

static bool came_whole(const struct client *client)
{
    const char *length = strcasestr(client->head, "\r\ncontent-length: ");

    if (!client->head_whole)
        return false;
    if (length)
        return client->body_len == strtoul(length + 18, NULL, 10);
    return !strcasestr(client->head, "transfer-encoding: chunked") || memcmp(client->tail, "0\r\n\r\n", 5) == 0;
}

static bool has_reason(const struct client *client, const char *const *reasons)
{
    const char *at = strcasestr(client->head, "\r\nx-vastworker-reason: ");
    size_t len = at ? strcspn(at + 23, "\r") : 0;

    for (; at && *reasons; reasons++)
        if (strlen(*reasons) == len && memcmp(at + 23, *reasons, len) == 0)
            return true;
    return false;
}

static enum fate fate_of(const struct crowd *crowd, const struct client *client)
{
    static const char *const rejected[] = { "predicted_wait", "queue_full", "queue_timeout", "not_ready", "session_limit", NULL };
    static const char *const errored[] = { "model_unreachable", "model_timeout", "model_reset", "not_json", "internal", NULL };
    static const char *const draining[] = { "draining", NULL };
    const struct kind *kind = &kinds[crowd->deeds[client->deed].kind];
    long status = client->head_len > 12 ? strtol(client->head + 9, NULL, 10) : 0;

    if (kind->unbooked)
        return FATE_UNBOOKED;
    if (!client->head_whole || has_reason(client, draining))
        return FATE_UNKNOWN;
    if (kind->form == INSIDE && (status == 410 || !came_whole(client)))
        return crowd->draining ? FATE_UNKNOWN : FATE_LOST;
    if (has_reason(client, rejected))
        return FATE_REJECTED;
    if (has_reason(client, errored) || kind->dies || status >= 500 || !came_whole(client))
        return FATE_ERRORED;
    return strcasestr(client->head, "\r\nx-vastworker-reason: ") ? FATE_UNBOOKED : FATE_SERVED;
}

static void hold(struct crowd *crowd, const struct client *client)
{
    static const char mark[] = "\"session_id\": \"";
    struct held *session = &crowd->sessions[crowd->session_count++ % 64];
    const char *at = strstr(client->begin, mark);

    ck_assert_msg(at != NULL, "%s", client->begin);
    at += sizeof mark - 1;
    memcpy(session->id, at, 13);
    session->id[13] = '\0';
    session->deed = client->deed;
}

static void forget(struct crowd *crowd, struct client *client) { *client = crowd->open[--crowd->open_count]; }

static void end(struct crowd *crowd, struct client *client)
{
    client_close(client->fd);
    ck_assert_msg(client->head_whole || crowd->draining, "request %u to %s was not answered", client->deed,
                  crowd_path(&crowd->deeds[client->deed]));
    crowd->deeds[client->deed].fate = (unsigned char)fate_of(crowd, client);
    if (strncmp(client->head + 9, "201", 3) == 0)
        hold(crowd, client);
    forget(crowd, client);
}

/* A tunnel that was opened ends well when its client leaves. */
static void leave(struct crowd *crowd, struct client *client)
{
    struct deed *deed = &crowd->deeds[client->deed];

    if (kinds[deed->kind].form == TUNNEL && client->head_whole && strncmp(client->head + 9, "101", 3) == 0 && !crowd->draining)
        deed->fate = FATE_SERVED;
    else if (kinds[deed->kind].unbooked)
        deed->fate = FATE_UNBOOKED;
    (crowd_roll(crowd, 2) ? client_reset : client_close)(client->fd);
    forget(crowd, client);
}

/* Takes what is there, without waiting. False: it is over. */
static bool take(struct crowd *crowd, struct client *client)
{
    char buffer[4096];
    ssize_t n = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);

    if (n > 0)
        note(client, buffer, (size_t)n);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    end(crowd, client);
    return false;
}

static void take_all(struct crowd *crowd)
{
    unsigned i = 0;

    while (i < crowd->open_count)
        if (take(crowd, &crowd->open[i]))
            i++;
}

static void await_any(struct crowd *crowd)
{
    struct pollfd fds[256];
    unsigned i, n = crowd->open_count < 256 ? crowd->open_count : 256;

    for (i = 0; i < n; i++)
        fds[i] = (struct pollfd){ crowd->open[i].fd, POLLIN, 0 };
    poll(fds, n, 2);
}

/* ---- the crowd ---- */

/* Whose answer only its leaving can end has to be an easy choice, or the model is busy with nothing else. */
static bool may_leave(struct crowd *crowd, const struct client *client)
{
    const struct kind *kind = &kinds[crowd->deeds[client->deed].kind];

    return kind->form <= TUNNEL || kind->form == CREATE || kind->unbooked;
}

static void someone_leaves(struct crowd *crowd)
{
    struct client *client = &crowd->open[crowd_roll(crowd, crowd->open_count)];

    if (may_leave(crowd, client))
        leave(crowd, client);
}

bool crowd_act(struct crowd *crowd)
{
    if (crowd->sent < crowd->setup.requests && crowd->open_count < crowd->setup.at_once && crowd_roll(crowd, 3)) {
        unsigned char which = any_kind(crowd);

        if (!crowd->session_count && (kinds[which].form == INSIDE || kinds[which].form == END))
            which = 0;
        ask(crowd, which, units_of(crowd, &kinds[which]));
    } else if (crowd->open_count && !crowd_roll(crowd, 3)) {
        someone_leaves(crowd);
    }
    if (!crowd_roll(crowd, 4))
        model_permit(crowd->setup.model, 1);
    take_all(crowd);
    if (!crowd_roll(crowd, 4))
        await_any(crowd);
    return crowd->sent < crowd->setup.requests;
}

unsigned crowd_inside(const struct crowd *crowd)
{
    unsigned i, count = 0;

    for (i = 0; i < crowd->open_count; i++)
        count += kinds[crowd->deeds[crowd->open[i].deed].kind].form == INSIDE;
    return count;
}

void crowd_drains(struct crowd *crowd) { crowd->draining = true; }

void crowd_go_home(struct crowd *crowd)
{
    unsigned i = 0;

    while (i < crowd->open_count)
        if (kinds[crowd->deeds[crowd->open[i].deed].kind].endless)
            leave(crowd, &crowd->open[i]);
        else
            i++;
}

void crowd_wait(struct crowd *crowd)
{
    double until = patience();

    while (crowd->open_count) {
        ck_assert_msg(now_s() < until, "%u requests are not answered, one of them %u to %s", crowd->open_count, crowd->open[0].deed,
                      crowd_path(&crowd->deeds[crowd->open[0].deed]));
        model_permit(crowd->setup.model, 4);
        await_any(crowd);
        take_all(crowd);
    }
}

struct deed crowd_last(struct crowd *crowd, double units)
{
    unsigned idx = crowd->sent;

    ask(crowd, 0, units);
    crowd_wait(crowd);
    return crowd->deeds[idx];
}
