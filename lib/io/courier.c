/*
 * libcurl's multi interface driven by libevent: curl names sockets and one timeout, we watch them.
 * The odd thing: finished transfers are handed out from one place (harvest), never from inside a curl callback.
 */
#include "io/courier.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vwi.h"

struct vwi_courier {
    struct vwi_loop *loop;
    char *user_agent;
    CURLM *multi;
    struct vwi_timer timer;
    struct vwi_list errands;
};

struct vwi_errand {
    struct vwi_list node;
    struct vwi_courier *courier;
    CURL *easy;
    struct curl_slist *headers;
    struct vwi_text reply;
    size_t max_reply;
    bool too_long;
    char problem[CURL_ERROR_SIZE];
    vwi_errand_fn fn;
    void *arg;
};

/* The one process-wide thing libcurl asks for. */
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void init_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static void errand_free(struct vwi_errand *errand)
{
    vwi_list_del(&errand->node);
    if (errand->easy) {
        curl_multi_remove_handle(errand->courier->multi, errand->easy);
        curl_easy_cleanup(errand->easy);
    }
    curl_slist_free_all(errand->headers);
    vwi_text_fini(&errand->reply);
    vwi_free(errand);
}

static long retry_after(CURL *easy)
{
    curl_off_t seconds = 0;

#if LIBCURL_VERSION_NUM >= 0x074200
    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK)
        seconds = 0;
#else
    (void)easy;
#endif
    return seconds > 0 ? seconds < LONG_MAX ? (long)seconds : LONG_MAX : 0;
}

static void finish(struct vwi_errand *errand, CURLcode code)
{
    struct vwi_errand_reply reply = { .body = "", .text = "" };
    vwi_errand_fn fn = errand->fn;
    void *arg = errand->arg;

    curl_easy_getinfo(errand->easy, CURLINFO_TOTAL_TIME, &reply.seconds);
    if (code == CURLE_OK) {
        curl_easy_getinfo(errand->easy, CURLINFO_RESPONSE_CODE, &reply.status);
        reply.retry_after_s = retry_after(errand->easy);
        if (errand->reply.p) {
            reply.body = errand->reply.p;
            reply.len = errand->reply.len;
        }
    } else if (errand->too_long) {
        reply.text = "the answer is longer than expected";
    } else {
        reply.text = errand->problem[0] ? errand->problem : curl_easy_strerror(code);
    }
    fn(arg, &reply);
    errand_free(errand);
}

static void harvest(struct vwi_courier *courier)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(courier->multi, &left))) {
        struct vwi_errand *errand = NULL;
        CURLcode code = msg->data.result;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &errand);
        finish(errand, code);
    }
}

static void on_socket_ready(evutil_socket_t fd, short what, void *arg)
{
    struct vwi_courier *courier = arg;
    int running, bits = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    vwi_loop_awake(courier->loop);
    curl_multi_socket_action(courier->multi, fd, bits, &running);
    harvest(courier);
}

static void on_timeout(void *arg)
{
    struct vwi_courier *courier = arg;
    int running;

    curl_multi_socket_action(courier->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    harvest(courier);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
    struct vwi_courier *courier = arg;

    (void)multi;
    if (ms < 0)
        vwi_timer_stop(&courier->timer);
    else
        vwi_timer_start(&courier->timer, ms);
    return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
    struct vwi_courier *courier = arg;
    struct event *ev = socketp;
    short bits = EV_PERSIST;

    (void)easy;
    if (ev)
        event_free(ev);
    curl_multi_assign(courier->multi, fd, NULL);
    if (what == CURL_POLL_REMOVE)
        return 0;
    bits |= (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    ev = event_new(vwi_loop_base(courier->loop), fd, bits, on_socket_ready, courier);
    if (!ev || event_add(ev, NULL) != 0) {
        if (ev)
            event_free(ev);
        return -1;
    }
    curl_multi_assign(courier->multi, fd, ev);
    return 0;
}

static size_t on_curl_data(char *data, size_t size, size_t count, void *arg)
{
    struct vwi_errand *errand = arg;
    size_t len = size * count;

    if (!errand->max_reply)
        return len;
    if (errand->reply.len + len > errand->max_reply) {
        errand->too_long = true;
        return 0;
    }
    return vwi_text_add(&errand->reply, data, len) ? len : 0;
}

vw_err vwi_courier_create(struct vwi_loop *loop, const char *user_agent, struct vwi_courier **ret, vw_error_t *why)
{
    struct vwi_courier *courier = vwi_zalloc(sizeof *courier);

    if (!courier)
        return vwi_fail(why, VW_E_NOMEM, "courier: out of memory");
    courier->loop = loop;
    vwi_list_init(&courier->errands);
    courier->user_agent = vwi_strdup(user_agent);
    if (!courier->user_agent || vwi_timer_init(&courier->timer, loop, on_timeout, courier) != VW_OK) {
        vwi_courier_destroy(courier);
        return vwi_fail(why, VW_E_NOMEM, "courier: out of memory");
    }
    *ret = courier;
    return VW_OK;
}

void vwi_courier_destroy(struct vwi_courier *courier)
{
    if (!courier)
        return;
    while (!vwi_list_empty(&courier->errands))
        errand_free(VWI_CONTAINER(courier->errands.next, struct vwi_errand, node));
    if (courier->multi)
        curl_multi_cleanup(courier->multi);
    vwi_timer_fini(&courier->timer);
    vwi_free(courier->user_agent);
    vwi_free(courier);
}

static bool start_multi(struct vwi_courier *courier)
{
    if (courier->multi)
        return true;
    pthread_once(&curl_once, init_curl);
    courier->multi = curl_multi_init();
    if (!courier->multi)
        return false;
    curl_multi_setopt(courier->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(courier->multi, CURLMOPT_SOCKETDATA, courier);
    curl_multi_setopt(courier->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(courier->multi, CURLMOPT_TIMERDATA, courier);
    curl_multi_setopt(courier->multi, CURLMOPT_MAXCONNECTS, 8L);
    return true;
}

static bool set_headers(struct vwi_errand *errand, const char *content_type)
{
    struct vwi_text line = VWI_TEXT_INIT;
    struct curl_slist *list;

    vwi_text_addf(&line, "Content-Type: %s", content_type);
    errand->headers = line.failed ? NULL : curl_slist_append(NULL, line.p);
    vwi_text_fini(&line);
    list = errand->headers ? curl_slist_append(errand->headers, "Expect:") : NULL; /* no 100-continue round trip */
    if (!list)
        return false;
    errand->headers = list;
    curl_easy_setopt(errand->easy, CURLOPT_HTTPHEADER, errand->headers);
    return true;
}

static bool set_options(struct vwi_errand *errand, const struct vwi_errand_request *request)
{
    CURL *easy = errand->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, errand);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, errand->courier->user_agent);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, errand->problem);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* else the loop waits for a name that is still being looked up */
#endif
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(request->timeout_s * 1000));
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 3L);
    curl_easy_setopt(easy, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, errand);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    if (!request->body)
        return true;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
    return curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body) == CURLE_OK && set_headers(errand, request->content_type);
}

struct vwi_errand *vwi_courier_send(struct vwi_courier *courier, const struct vwi_errand_request *request, vwi_errand_fn fn, void *arg)
{
    struct vwi_errand *errand;

    if (!start_multi(courier))
        return NULL;
    errand = vwi_zalloc(sizeof *errand);
    if (!errand)
        return NULL;
    vwi_list_init(&errand->node);
    errand->courier = courier;
    errand->max_reply = request->max_reply_bytes;
    errand->fn = fn;
    errand->arg = arg;
    errand->easy = curl_easy_init();
    if (!errand->easy || !set_options(errand, request) || curl_multi_add_handle(courier->multi, errand->easy) != CURLM_OK) {
        errand_free(errand);
        return NULL;
    }
    vwi_list_add(&courier->errands, &errand->node);
    return errand;
}

void vwi_errand_cancel(struct vwi_errand *errand)
{
    if (errand)
        errand_free(errand);
}
