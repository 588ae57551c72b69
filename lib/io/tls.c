/*
 * The odd thing: two files cannot be replaced in one step, and a file may be seen half-written. So a change is taken only when a
 * second look, a while later, finds it unaltered.
 */
#include "io/tls.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/file.h"
#include "io/tls_parts.h"

#define LOOK_MS 2000
#define MAX_PEM_BYTES (1024u * 1024)
#define MAX_CHAIN 16
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20" /* of TLS 1.2; those of 1.3 are all good */

struct pair {
    struct vwi_file_stamp cert, key;
};

struct keeper {
    struct vwi_tls tls;
    char *cert_file, *key_file;
    const struct vwi_log *log;
    struct vwi_timer timer;
    struct pair tried, seen; /* as last loaded, or found wanting; as of the last look */
    char until[64];
};

static struct keeper *of(struct vwi_tls *tls) { return (struct keeper *)(void *)tls; } /* its first member */

static bool same_pair(const struct pair *a, const struct pair *b)
{
    return vwi_file_same_stamp(&a->cert, &b->cert) && vwi_file_same_stamp(&a->key, &b->key);
}

static void take_stamps(const struct keeper *keeper, struct pair *ret)
{
    vwi_file_take_stamp(keeper->cert_file, &ret->cert);
    vwi_file_take_stamp(keeper->key_file, &ret->key);
}

/* ---- loading ---- */

/* RFC 7301: HTTP/1.1 if it is offered, else nothing we could speak. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "http/1.1";
    unsigned at;

    (void)ssl, (void)arg;
    for (at = 0; at < in_len; at += 1u + in[at]) {
        if (in[at] != sizeof ours - 1 || in_len - at - 1 < sizeof ours - 1 || memcmp(in + at + 1, ours, sizeof ours - 1) != 0)
            continue;
        *out = in + at + 1;
        *out_len = in[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_context(void)
{
    static const unsigned char id[] = "vastworker";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 ||
        SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* sessions are resumed by ticket: nothing is kept of them here */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ctx, 1); /* one system call for a record, not two */
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    return ctx;
}

/* Never asks on the terminal: a key behind a passphrase is refused. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;
}

/* The queue's reason where OpenSSL itself refuses the pair, e.g. "ee key too small". */
static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    return text ? text : "OpenSSL refuses it";
}

/* The certificate first, then those that lead up to a root. */
static vw_err use_chain(SSL_CTX *ctx, const char *path, const struct vwi_text *pem, char until[64], vw_error_t *why)
{
    BIO *bio = BIO_new_mem_buf(pem->p, (int)pem->len);
    X509 *cert = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL) : NULL;
    BIO *out = BIO_new(BIO_s_mem());
    vw_err err = VW_E_CONFIG;
    int n;

    if (!cert) {
        vwi_fail(why, err, "tls.certFile: %s: no certificate in PEM form. Remedy: put the server's certificate there, and after it those "
                 "of its issuers", path);
        goto out;
    }
    if (SSL_CTX_use_certificate(ctx, cert) != 1) {
        vwi_fail(why, err, "tls.certFile: %s: %s. Remedy: have a certificate made with RSA 2048 or P-256 and SHA-256", path, reason());
        goto out;
    }
    for (n = 0; n < MAX_CHAIN; n++) {
        X509 *issuer = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);

        if (!issuer)
            break;
        if (SSL_CTX_add0_chain_cert(ctx, issuer) != 1) {
            X509_free(issuer);
            vwi_fail(why, err, "tls.certFile: %s: certificate %d: %s. Remedy: leave it out, or replace it", path, n + 2, reason());
            goto out;
        }
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        vwi_fail(why, err, "tls.certFile: %s: what follows certificate %d is none. Remedy: leave it out, or replace it", path, n + 1);
        goto out;
    }
    if (out && ASN1_TIME_print(out, X509_get0_notAfter(cert)) == 1 && (n = BIO_read(out, until, 63)) > 0)
        until[n] = '\0';
    err = VW_OK;
out:
    BIO_free(out);
    X509_free(cert);
    BIO_free(bio);
    return err;
}

static vw_err use_key(SSL_CTX *ctx, const struct keeper *keeper, const struct vwi_text *pem, vw_error_t *why)
{
    BIO *bio = BIO_new_mem_buf(pem->p, (int)pem->len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    vw_err err = VW_OK;

    if (!key)
        err = vwi_fail(why, VW_E_CONFIG, "tls.keyFile: %s: no private key in PEM form without a passphrase. Remedy: put the key of the "
                       "certificate there (openssl pkey -in KEY -out %s takes a passphrase off)", keeper->key_file, keeper->key_file);
    else if (!cert || X509_check_private_key(cert, key) != 1)
        err = vwi_fail(why, VW_E_CONFIG, "tls.keyFile: %s: not the key of the certificate in %s. Remedy: put a key and a certificate there "
                       "that were made for each other", keeper->key_file, keeper->cert_file);
    else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
        err = vwi_fail(why, VW_E_CONFIG, "tls.keyFile: %s: %s. Remedy: have a pair made with RSA 2048 or P-256", keeper->key_file, reason());
    EVP_PKEY_free(key);
    BIO_free(bio);
    return err;
}

static vw_err read_pem(const char *name, const char *path, struct vwi_text *ret, vw_error_t *why)
{
    vw_error_t cause = { VW_OK, "" };
    vw_err err = vwi_file_read(path, MAX_PEM_BYTES, ret, &cause);

    if (err == VW_OK && !vwi_text_add(ret, "", 0))
        err = VW_E_NOMEM;
    if (err == VW_OK)
        return VW_OK;
    if (err == VW_E_NOMEM)
        return vwi_fail(why, err, "%s: out of memory", name);
    return vwi_fail(why, VW_E_CONFIG, "%s: %s. Remedy: name a file in PEM form that the worker may read", name, cause.text);
}

static vw_err load(struct keeper *keeper, SSL_CTX **ret, vw_error_t *why)
{
    struct vwi_text cert = VWI_TEXT_INIT, key = VWI_TEXT_INIT;
    char until[sizeof keeper->until] = "";
    SSL_CTX *ctx = NULL;
    vw_err err = read_pem("tls.certFile", keeper->cert_file, &cert, why);

    ERR_clear_error();
    if (err == VW_OK)
        err = read_pem("tls.keyFile", keeper->key_file, &key, why);
    if (err != VW_OK)
        goto out;
    ctx = make_context();
    if (!ctx) {
        err = vwi_fail(why, VW_E_IO, "TLS: %s. Remedy: see that the system's OpenSSL allows TLS 1.2", reason());
        goto out;
    }
    err = use_chain(ctx, keeper->cert_file, &cert, until, why);
    if (err == VW_OK)
        err = use_key(ctx, keeper, &key, why);
    if (err == VW_OK) {
        memcpy(keeper->until, until, sizeof until);
        *ret = ctx;
        ctx = NULL;
    }
out:
    ERR_clear_error();
    SSL_CTX_free(ctx);
    if (key.p)
        OPENSSL_cleanse(key.p, key.cap);
    vwi_text_fini(&cert);
    vwi_text_fini(&key);
    return err;
}

/* An expired certificate is served all the same: clients say so more clearly than a worker that is not there. */
static void warn_of_end(const struct keeper *keeper)
{
    const X509 *cert = SSL_CTX_get0_certificate(keeper->tls.ctx);

    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        vwi_log_warn(keeper->log, "tls.certFile: %s: the certificate ended on %s. Remedy: replace it; it is noticed while the worker runs",
                     keeper->cert_file, keeper->until);
}

/* ---- watching ---- */

void vwi_tls_look(struct vwi_tls *tls)
{
    struct keeper *keeper = of(tls);
    vw_error_t why = { VW_OK, "" };
    struct pair before = keeper->seen;
    SSL_CTX *ctx = NULL;

    take_stamps(keeper, &keeper->seen);
    if (same_pair(&keeper->seen, &keeper->tried) || !same_pair(&keeper->seen, &before))
        return;
    keeper->tried = keeper->seen;
    if (load(keeper, &ctx, &why) != VW_OK) {
        vwi_log_warn(keeper->log, "the certificate and key changed and cannot be used; serving with the ones before: %s", why.text);
        return;
    }
    SSL_CTX_free(tls->ctx);
    tls->ctx = ctx;
    vwi_log_info(keeper->log, "the certificate was read again from %s; it ends on %s", keeper->cert_file, keeper->until);
    warn_of_end(keeper);
}

static void on_timer(void *arg)
{
    struct keeper *keeper = arg;

    vwi_tls_look(&keeper->tls);
    vwi_timer_start(&keeper->timer, LOOK_MS);
}

vw_err vwi_tls_create(struct vwi_loop *loop, const char *cert_file, const char *key_file, const struct vwi_log *log, struct vwi_tls **ret,
                      vw_error_t *why)
{
    struct keeper *keeper = vwi_zalloc(sizeof *keeper);
    vw_err err = VW_E_NOMEM;

    if (!keeper)
        return vwi_fail(why, VW_E_NOMEM, "TLS: out of memory");
    keeper->tls.loop = loop;
    keeper->log = log;
    keeper->cert_file = vwi_strdup(cert_file);
    keeper->key_file = vwi_strdup(key_file);
    keeper->tls.method = vwi_tls_link_method();
    if (!keeper->cert_file || !keeper->key_file || !keeper->tls.method || vwi_timer_init(&keeper->timer, loop, on_timer, keeper) != VW_OK) {
        vwi_fail(why, VW_E_NOMEM, "TLS: out of memory");
        goto out;
    }
    take_stamps(keeper, &keeper->seen);
    keeper->tried = keeper->seen;
    err = load(keeper, &keeper->tls.ctx, why);
    if (err != VW_OK)
        goto out;
    warn_of_end(keeper);
    *ret = &keeper->tls;
    keeper = NULL;
out:
    vwi_tls_destroy(keeper ? &keeper->tls : NULL);
    return err;
}

void vwi_tls_watch(struct vwi_tls *tls) { vwi_timer_start(&of(tls)->timer, LOOK_MS); }

const char *vwi_tls_until(const struct vwi_tls *tls)
{
    return ((const struct keeper *)(const void *)tls)->until;
}

void vwi_tls_destroy(struct vwi_tls *tls)
{
    struct keeper *keeper = tls ? of(tls) : NULL;

    if (!keeper)
        return;
    vwi_timer_fini(&keeper->timer);
    SSL_CTX_free(tls->ctx);
    BIO_meth_free(tls->method);
    vwi_free(keeper->cert_file);
    vwi_free(keeper->key_file);
    vwi_free(keeper);
}
