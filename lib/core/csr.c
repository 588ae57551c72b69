/* The odd thing: the address in the request is 0.0.0.0. The signer knows the real one and puts it into the certificate. */
#include "core/csr.h"

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "base/vwi.h"

#define KEY_BITS 2048

static vw_err fail_openssl(vw_error_t *why, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return vwi_fail(why, VW_E_IO, "%s: %s", what, reason ? reason : "OpenSSL refused it");
}

static vw_err take(BIO *bio, struct vwi_text *ret, const char *what, vw_error_t *why)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);

    return vwi_text_add(ret, data, (size_t)len) ? VW_OK : vwi_fail(why, VW_E_NOMEM, "%s: out of memory", what);
}

void vwi_csr_wipe(struct vwi_text *pem)
{
    if (pem->p)
        OPENSSL_cleanse(pem->p, pem->cap);
    vwi_text_fini(pem);
}

vw_err vwi_csr_make_key(struct vwi_text *ret_pem, vw_error_t *why)
{
    EVP_PKEY *key = EVP_RSA_gen(KEY_BITS);
    BIO *bio = BIO_new(BIO_s_secmem());
    vw_err err;

    if (!key || !bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        err = fail_openssl(why, "making an RSA key");
    else
        err = take(bio, ret_pem, "making an RSA key", why);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return err;
}

/* Never asks on the terminal: a key behind a passphrase is refused. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;
}

static EVP_PKEY *read_key(struct vwi_span pem, vw_error_t *why)
{
    BIO *bio = pem.p && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    if (!key)
        vwi_fail(why, VW_E_PARSE, "no private key in PEM form without a passphrase");
    ERR_clear_error();
    BIO_free(bio);
    return key;
}

static bool add_subject(X509_REQ *request)
{
    static const struct {
        const char *name;
        unsigned char value[20];
    } parts[] = { { "C", "US" }, { "ST", "CA" }, { "CN", "pyworker.vast.ai" } };
    X509_NAME *name = X509_REQ_get_subject_name(request);
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(parts); i++)
        if (X509_NAME_add_entry_by_txt(name, parts[i].name, MBSTRING_UTF8, parts[i].value, -1, -1, 0) != 1)
            return false;
    return true;
}

static bool add_extensions(X509_REQ *request)
{
    static const struct {
        int nid;
        const char *value;
    } rows[] = {
        { NID_basic_constraints, "CA:FALSE" },
        { NID_key_usage, "nonRepudiation, digitalSignature, keyEncipherment" },
        { NID_subject_alt_name, "IP:0.0.0.0" },
    };
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    bool good = list != NULL;
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(rows) && good; i++) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, rows[i].nid, rows[i].value);

        good = extension && sk_X509_EXTENSION_push(list, extension) > 0;
        if (!good)
            X509_EXTENSION_free(extension);
    }
    good = good && X509_REQ_add_extensions(request, list) == 1;
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    return good;
}

vw_err vwi_csr_write(struct vwi_span key_pem, struct vwi_text *ret_pem, vw_error_t *why)
{
    EVP_PKEY *key = read_key(key_pem, why);
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    vw_err err = VW_E_PARSE;

    if (!key)
        goto out;
    if (!request || !bio || X509_REQ_set_version(request, 0) != 1 || !add_subject(request) || X509_REQ_set_pubkey(request, key) != 1 ||
        !add_extensions(request) || X509_REQ_sign(request, key, EVP_sha256()) <= 0 || PEM_write_bio_X509_REQ(bio, request) != 1)
        err = fail_openssl(why, "certificate request");
    else
        err = take(bio, ret_pem, "certificate request", why);
out:
    BIO_free(bio);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return err;
}

vw_err vwi_csr_check(struct vwi_span cert_pem, struct vwi_span key_pem, vw_error_t *why)
{
    EVP_PKEY *key = read_key(key_pem, why);
    BIO *bio = cert_pem.p && cert_pem.len && cert_pem.len <= INT_MAX ? BIO_new_mem_buf(cert_pem.p, (int)cert_pem.len) : NULL;
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL, *issuer;
    vw_err err = VW_E_PARSE;

    if (!key)
        goto out;
    if (!cert) {
        vwi_fail(why, err, "no certificate in PEM form");
        goto out;
    }
    if (X509_check_private_key(cert, key) != 1) {
        vwi_fail(why, err, "a certificate of another key");
        goto out;
    }
    while ((issuer = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) /* what follows is kept and served, too */
        X509_free(issuer);
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
        err = VW_OK;
    else
        vwi_fail(why, err, "a certificate with something after it that is none");
out:
    ERR_clear_error();
    X509_free(cert);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return err;
}
