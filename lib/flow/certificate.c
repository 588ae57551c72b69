/*
 * The story of the certificate: key, request, signature, file.
 * The odd thing: the key is written before anybody is asked to sign, and one that is there is taken, so that a certificate can never
 * outlive its key. A key file that is no key is left alone: it may be somebody's.
 */
#include "flow/certificate.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/csr.h"
#include "io/file.h"

#define TRIES 5
#define FIRST_WAIT_MS 2000
#define CALL_TIMEOUT_S 15.0
#define MAX_PEM_BYTES (64u * 1024)

struct vwi_certificate {
    struct vwi_certificate_setup setup;
    struct vwi_certificate_events events;
    void *arg;
    struct vwi_timer timer;
    struct vwi_errand *errand;
    struct vwi_text key, request;
    int64_t wait_ms;
    int tries;
};

bool vwi_certificate_is_missing(const struct vwi_tls_conf *conf) { return !vwi_file_exists(conf->cert_file); }

static struct vwi_span span_of(const struct vwi_text *text) { return (struct vwi_span){ text->p, text->len }; }

static vw_err make_key(struct vwi_certificate *certificate, vw_error_t *why)
{
    const char *path = certificate->setup.conf->key_file;
    vw_err err = vwi_csr_make_key(&certificate->key, why);

    if (err == VW_OK)
        err = vwi_file_write(path, certificate->key.p, certificate->key.len, 0600, why);
    if (err == VW_OK)
        vwi_log_info(certificate->setup.log, "certificate: made an RSA key, kept in %s", path);
    return err;
}

static vw_err prepare(struct vwi_certificate *certificate, vw_error_t *why)
{
    const char *path = certificate->setup.conf->key_file;
    vw_error_t cause = { VW_OK, "" };
    vw_err err;

    if (!vwi_file_exists(path))
        err = make_key(certificate, &cause);
    else
        err = vwi_file_read(path, MAX_PEM_BYTES, &certificate->key, &cause);
    if (err != VW_OK)
        return vwi_fail(why, err, "tls.keyFile: %s. Remedy: name a file in a directory that the worker may write", cause.text);
    err = vwi_csr_write(span_of(&certificate->key), &certificate->request, &cause);
    if (err != VW_OK)
        return vwi_fail(why, err, "tls.keyFile: %s: %s. Remedy: put the key there, or remove the file, and one is made", path, cause.text);
    return VW_OK;
}

static void try_once(struct vwi_certificate *certificate);

static void give_up(struct vwi_certificate *certificate, const char *text)
{
    vwi_log_error(certificate->setup.log, "%s", text);
    certificate->events.on_failed(certificate->arg, text);
}

static void try_again(struct vwi_certificate *certificate, const char *problem)
{
    const char *url = certificate->setup.conf->sign_url;
    vw_error_t why = { VW_OK, "" };

    if (certificate->tries >= TRIES) {
        vwi_fail(&why, VW_E_IO, "no TLS certificate after %d tries: %s: %s. Remedy: see that the address can be reached, put a certificate "
                 "into tls.certFile, or set USE_SSL=false", TRIES, url, problem);
        give_up(certificate, why.text);
        return;
    }
    vwi_log_warn(certificate->setup.log, "certificate: %s: %s (try %d of %d); asking again in %g s", url, problem, certificate->tries, TRIES,
                 (double)certificate->wait_ms / 1000);
    vwi_timer_start(&certificate->timer, certificate->wait_ms);
    certificate->wait_ms *= 2;
}

static void keep(struct vwi_certificate *certificate, const struct vwi_errand_reply *reply)
{
    const char *path = certificate->setup.conf->cert_file;
    vw_error_t cause = { VW_OK, "" }, why = { VW_OK, "" };

    if (vwi_file_write(path, reply->body, reply->len, 0600, &cause) != VW_OK) {
        vwi_fail(&why, cause.code, "tls.certFile: %s. Remedy: name a file in a directory that the worker may write", cause.text);
        give_up(certificate, why.text);
        return;
    }
    vwi_log_info(certificate->setup.log, "certificate: signed by %s, kept in %s", certificate->setup.conf->sign_url, path);
    certificate->events.on_there(certificate->arg);
}

static void on_courier_reply(void *arg, const struct vwi_errand_reply *reply)
{
    struct vwi_certificate *certificate = arg;
    vw_error_t cause = { VW_OK, "" };
    char status[40];

    certificate->errand = NULL;
    if (!reply->status) {
        try_again(certificate, reply->text);
    } else if (reply->status < 200 || reply->status > 299) {
        snprintf(status, sizeof status, "answered %ld", reply->status);
        try_again(certificate, status);
    } else if (vwi_csr_check((struct vwi_span){ reply->body, reply->len }, span_of(&certificate->key), &cause) != VW_OK) {
        vw_error_t problem = { VW_OK, "" };

        vwi_fail(&problem, VW_E_PARSE, "sent %s", cause.text);
        try_again(certificate, problem.text);
    } else {
        keep(certificate, reply);
    }
}

static void try_once(struct vwi_certificate *certificate)
{
    const struct vwi_tls_conf *conf = certificate->setup.conf;
    struct vwi_errand_request request = {
        NULL, certificate->request.p, certificate->request.len, "application/octet-stream", CALL_TIMEOUT_S, MAX_PEM_BYTES
    };
    struct vwi_text url = VWI_TEXT_INIT;

    certificate->tries++;
    vwi_text_addf(&url, "%s?instance_id=%lld", conf->sign_url, certificate->setup.worker_id);
    if (!url.failed) {
        request.url = url.p;
        certificate->errand = vwi_courier_send(certificate->setup.courier, &request, on_courier_reply, certificate);
    }
    vwi_text_fini(&url);
    if (!certificate->errand)
        try_again(certificate, "out of memory");
}

static void on_timer(void *arg)
{
    struct vwi_certificate *certificate = arg;
    vw_error_t why = { VW_OK, "" };

    if (!certificate->tries && prepare(certificate, &why) != VW_OK)
        give_up(certificate, why.text);
    else
        try_once(certificate);
}

vw_err vwi_certificate_create(const struct vwi_certificate_setup *setup, const struct vwi_certificate_events *events, void *arg,
                              struct vwi_certificate **ret, vw_error_t *why)
{
    struct vwi_certificate *certificate = vwi_zalloc(sizeof *certificate);

    if (!certificate)
        return vwi_fail(why, VW_E_NOMEM, "certificate: out of memory");
    certificate->setup = *setup;
    certificate->events = *events;
    certificate->arg = arg;
    certificate->wait_ms = setup->first_wait_ms ? setup->first_wait_ms : FIRST_WAIT_MS;
    if (vwi_timer_init(&certificate->timer, setup->loop, on_timer, certificate) != VW_OK) {
        vwi_free(certificate);
        return vwi_fail(why, VW_E_NOMEM, "certificate: out of memory");
    }
    *ret = certificate;
    return VW_OK;
}

void vwi_certificate_start(struct vwi_certificate *certificate) { vwi_timer_start(&certificate->timer, 0); }

void vwi_certificate_stop(struct vwi_certificate *certificate)
{
    if (!certificate)
        return;
    vwi_errand_cancel(certificate->errand);
    certificate->errand = NULL;
    vwi_timer_stop(&certificate->timer);
}

void vwi_certificate_destroy(struct vwi_certificate *certificate)
{
    if (!certificate)
        return;
    vwi_errand_cancel(certificate->errand);
    vwi_timer_fini(&certificate->timer);
    vwi_csr_wipe(&certificate->key);
    vwi_text_fini(&certificate->request);
    vwi_free(certificate);
}
