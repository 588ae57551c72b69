/* The odd thing: addresses in a request are not believed. A worker asks for 0.0.0.0 and gets the address it asks from. */
#include "sim_ca.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "base/mem.h"

#define DAY_S 86400

struct sim_ca {
    EVP_PKEY *key;
    X509 *cert;
};

static vw_err fail_openssl(vw_error_t *why, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return vwi_fail(why, VW_E_IO, "%s: %s", what, reason ? reason : "OpenSSL refused it");
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;
    bool good;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    good = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool fill(X509 *cert, X509_NAME *subject, X509_NAME *issuer, EVP_PKEY *key)
{
    unsigned char serial[8];
    BIGNUM *number = RAND_bytes(serial, sizeof serial) == 1 ? BN_bin2bn(serial, sizeof serial, NULL) : NULL;
    bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) && X509_set_version(cert, 2) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) && X509_gmtime_adj(X509_getm_notAfter(cert), DAY_S) &&
                X509_set_subject_name(cert, subject) == 1 && X509_set_issuer_name(cert, issuer) == 1 && X509_set_pubkey(cert, key) == 1;

    BN_free(number);
    return good;
}

vw_err sim_ca_create(struct sim_ca **ret, vw_error_t *why)
{
    static const unsigned char who[] = "vastworker-sim";
    struct sim_ca *ca = vwi_zalloc(sizeof *ca);
    X509_NAME *name = X509_NAME_new();
    vw_err err = VW_E_NOMEM;

    if (!ca)
        goto out;
    ca->key = EVP_EC_gen("P-256");
    ca->cert = X509_new();
    if (!ca->key || !ca->cert || !name || X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, who, -1, -1, 0) != 1 ||
        !fill(ca->cert, name, name, ca->key) || !add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical, CA:TRUE") ||
        !add_extension(ca->cert, ca->cert, NID_key_usage, "critical, keyCertSign") ||
        !add_extension(ca->cert, ca->cert, NID_subject_key_identifier, "hash") || X509_sign(ca->cert, ca->key, EVP_sha256()) <= 0)
        goto out;
    *ret = ca;
    ca = NULL;
    err = VW_OK;
out:
    X509_NAME_free(name);
    sim_ca_destroy(ca);
    return err == VW_OK ? VW_OK : fail_openssl(why, "making a certificate authority");
}

void sim_ca_destroy(struct sim_ca *ca)
{
    if (!ca)
        return;
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    vwi_free(ca);
}

static vw_err write_pem(X509 *cert, struct vwi_text *ret_pem, vw_error_t *why)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    vw_err err = VW_OK;
    long len;

    if (!bio || PEM_write_bio_X509(bio, cert) != 1) {
        err = fail_openssl(why, "certificate");
    } else {
        len = BIO_get_mem_data(bio, &data);
        if (!vwi_text_add(ret_pem, data, (size_t)len))
            err = vwi_fail(why, VW_E_NOMEM, "certificate: out of memory");
    }
    BIO_free(bio);
    return err;
}

vw_err sim_ca_pem(const struct sim_ca *ca, struct vwi_text *ret_pem, vw_error_t *why) { return write_pem(ca->cert, ret_pem, why); }

/* Whole, and signed with the key it is for. */
static X509_REQ *read_request(struct vwi_span pem)
{
    BIO *bio = pem.p && pem.len && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;

    if (!key || X509_REQ_verify(request, key) != 1) {
        X509_REQ_free(request);
        request = NULL;
    }
    ERR_clear_error();
    BIO_free(bio);
    return request;
}

vw_err sim_ca_sign(struct sim_ca *ca, struct vwi_span request_pem, const char *address, struct vwi_text *ret_pem, vw_error_t *why)
{
    X509_REQ *request = read_request(request_pem);
    struct vwi_text names = VWI_TEXT_INIT;
    X509 *cert = X509_new();
    vw_err err = VW_OK;

    if (!request) {
        err = vwi_fail(why, VW_E_PARSE, "sign_cert: expected a certificate request in PEM form, signed with its own key");
        goto out;
    }
    vwi_text_addf(&names, "DNS:localhost,IP:127.0.0.1,IP:%s", address);
    if (names.failed || !cert || !fill(cert, X509_REQ_get_subject_name(request), X509_get_subject_name(ca->cert), X509_REQ_get0_pubkey(request)) ||
        !add_extension(cert, ca->cert, NID_basic_constraints, "CA:FALSE") || !add_extension(cert, ca->cert, NID_subject_alt_name, names.p) ||
        !add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid") || X509_sign(cert, ca->key, EVP_sha256()) <= 0)
        err = fail_openssl(why, "sign_cert");
    else
        err = write_pem(cert, ret_pem, why);
out:
    vwi_text_fini(&names);
    X509_free(cert);
    X509_REQ_free(request);
    return err;
}
