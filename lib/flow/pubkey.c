/* The story of the key: ask, and while nobody answers ask again after 1, 2, 4, ... 30 s. */
#include "flow/pubkey.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

#define FETCH_TIMEOUT_S 10.0
#define MAX_KEY_BYTES (64u * 1024)
#define MAX_PAUSE_MS 30000
#define DOUBT_PAUSE_MS 60000

struct vwi_pubkey {
    struct vwi_courier *courier;
    const struct vwi_strings *addresses;
    const struct vwi_log *log;
    struct vwi_pubkey_events events;
    void *arg;
    struct vwi_timer timer;
    struct vwi_errand *errand;
    size_t at; /* index of the address being asked */
    int64_t pause_ms, doubt_again_ms;
    bool had_key;
    bool silent; /* every address failed and that was said: say nothing until one answers */
};

static void ask(struct vwi_pubkey *pubkey);

static void try_next(struct vwi_pubkey *pubkey)
{
    pubkey->at++;
    if (pubkey->at < pubkey->addresses->count) {
        ask(pubkey);
        return;
    }
    pubkey->at = 0;
    pubkey->silent = true;
    vwi_timer_start(&pubkey->timer, pubkey->pause_ms);
    pubkey->pause_ms = pubkey->pause_ms * 2 > MAX_PAUSE_MS ? MAX_PAUSE_MS : pubkey->pause_ms * 2;
}

static void complain(const struct vwi_pubkey *pubkey, const struct vwi_errand_reply *reply, const char *text)
{
    const char *address = pubkey->addresses->items[pubkey->at];
    vw_log_level_t level = pubkey->silent ? VW_LOG_DEBUG : VW_LOG_WARN;

    if (text)
        vwi_log(pubkey->log, level, "public key: %s/pubkey/ did not send a key: %s; asking again", address, text);
    else if (reply->status)
        vwi_log(pubkey->log, level, "public key: %s/pubkey/ answered %ld; asking again", address, reply->status);
    else
        vwi_log(pubkey->log, level, "public key: %s/pubkey/: %s; asking again", address, reply->text);
}

static void on_courier_reply(void *arg, const struct vwi_errand_reply *reply)
{
    struct vwi_pubkey *pubkey = arg;
    vw_error_t why = { VW_OK, "" };
    bool answered = reply->status >= 200 && reply->status < 400;

    pubkey->errand = NULL;
    if (answered && pubkey->events.on_key(pubkey->arg, reply->body, reply->len, &why) == VW_OK) {
        vwi_log_info(pubkey->log, "public key %s from %s", pubkey->had_key ? "fetched again" : "fetched",
                     pubkey->addresses->items[pubkey->at]);
        pubkey->had_key = true;
        pubkey->silent = false;
        pubkey->pause_ms = 1000;
        pubkey->at = 0;
        return;
    }
    complain(pubkey, reply, answered ? why.text : NULL);
    try_next(pubkey);
}

static void ask(struct vwi_pubkey *pubkey)
{
    struct vwi_text url = VWI_TEXT_INIT;
    struct vwi_errand_request request = { NULL, NULL, 0, NULL, FETCH_TIMEOUT_S, MAX_KEY_BYTES };

    vwi_timer_stop(&pubkey->timer);
    vwi_text_addf(&url, "%s/pubkey/", pubkey->addresses->items[pubkey->at]);
    if (!url.failed) {
        request.url = url.p;
        pubkey->errand = vwi_courier_send(pubkey->courier, &request, on_courier_reply, pubkey);
    }
    vwi_text_fini(&url);
    if (!pubkey->errand)
        vwi_timer_start(&pubkey->timer, pubkey->pause_ms);
}

static void on_timer(void *arg) { ask(arg); }

vw_err vwi_pubkey_create(struct vwi_loop *loop, struct vwi_courier *courier, const struct vwi_strings *addresses, const struct vwi_log *log,
                         const struct vwi_pubkey_events *events, void *arg, struct vwi_pubkey **ret, vw_error_t *why)
{
    struct vwi_pubkey *pubkey = vwi_zalloc(sizeof *pubkey);

    if (!pubkey)
        return vwi_fail(why, VW_E_NOMEM, "public key: out of memory");
    pubkey->courier = courier;
    pubkey->addresses = addresses;
    pubkey->log = log;
    pubkey->events = *events;
    pubkey->arg = arg;
    pubkey->pause_ms = 1000;
    if (vwi_timer_init(&pubkey->timer, loop, on_timer, pubkey) != VW_OK) {
        vwi_free(pubkey);
        return vwi_fail(why, VW_E_NOMEM, "public key: out of memory");
    }
    *ret = pubkey;
    return VW_OK;
}

void vwi_pubkey_start(struct vwi_pubkey *pubkey)
{
    if (pubkey->addresses->count)
        ask(pubkey);
}

void vwi_pubkey_doubt(struct vwi_pubkey *pubkey)
{
    int64_t now_ms = vwi_mono_ms();

    if (!pubkey || !pubkey->had_key || pubkey->errand || pubkey->at || now_ms < pubkey->doubt_again_ms)
        return;
    pubkey->doubt_again_ms = now_ms + DOUBT_PAUSE_MS; /* forgeries must not make us ask without end */
    ask(pubkey);
}

void vwi_pubkey_destroy(struct vwi_pubkey *pubkey)
{
    if (!pubkey)
        return;
    vwi_errand_cancel(pubkey->errand);
    vwi_timer_fini(&pubkey->timer);
    vwi_free(pubkey);
}
