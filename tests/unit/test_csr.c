/* The request as docs/protocol.md tells, and certificates that fit or do not. */
#include <check.h>
#include <string.h>

#include "base/mem.h"
#include "base/vwi.h"
#include "certs.h"
#include "core/csr.h"

static struct vwi_span span_of(const struct vwi_text *text) { return (struct vwi_span){ text->p, text->len }; }

static EVP_PKEY *key_of(const struct vwi_text *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->p, (int)pem->len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return key;
}

static void pem_of(X509 *cert, struct vwi_text *ret)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;

    PEM_write_bio_X509(bio, cert);
    len = BIO_get_mem_data(bio, &data);
    vwi_text_add(ret, data, (size_t)len);
    BIO_free(bio);
}

static void expect_extension(X509_REQ *request, int nid, const char *text)
{
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(request);
    BIO *bio = BIO_new(BIO_s_mem());
    char got[200] = "";
    int at = X509v3_get_ext_by_NID(list, nid, -1);

    ck_assert_int_ge(at, 0);
    ck_assert_int_eq(sk_X509_EXTENSION_num(list), 3);
    X509V3_EXT_print(bio, sk_X509_EXTENSION_value(list, at), 0, 0);
    BIO_read(bio, got, sizeof got - 1);
    ck_assert_str_eq(got, text);
    BIO_free(bio);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}

START_TEST(request_is_what_the_boot_script_would_send)
{
    struct vwi_text key = VWI_TEXT_INIT, pem = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };
    char subject[100];
    X509_REQ *request;
    EVP_PKEY *pkey;
    BIO *bio;

    ck_assert_int_eq(vwi_csr_make_key(&key, &why), VW_OK);
    ck_assert_ptr_nonnull(strstr(key.p, "-----BEGIN PRIVATE KEY-----\n"));
    ck_assert_int_eq(vwi_csr_write(span_of(&key), &pem, &why), VW_OK);
    ck_assert_int_eq(strncmp(pem.p, "-----BEGIN CERTIFICATE REQUEST-----\n", 36), 0);
    bio = BIO_new_mem_buf(pem.p, (int)pem.len);
    request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    pkey = key_of(&key);
    ck_assert_int_eq(EVP_PKEY_get_base_id(pkey), EVP_PKEY_RSA);
    ck_assert_int_eq(EVP_PKEY_get_bits(pkey), 2048);
    ck_assert_int_eq(X509_REQ_verify(request, pkey), 1);
    ck_assert_int_eq(X509_REQ_get_signature_nid(request), NID_sha256WithRSAEncryption);
    ck_assert_int_eq(X509_REQ_get_version(request), 0);
    X509_NAME_oneline(X509_REQ_get_subject_name(request), subject, sizeof subject);
    ck_assert_str_eq(subject, "/C=US/ST=CA/CN=pyworker.vast.ai");
    expect_extension(request, NID_basic_constraints, "CA:FALSE");
    expect_extension(request, NID_key_usage, "Digital Signature, Non Repudiation, Key Encipherment");
    expect_extension(request, NID_subject_alt_name, "IP Address:0.0.0.0");
    X509_REQ_free(request);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    vwi_csr_wipe(&key);
    ck_assert_ptr_null(key.p);
    vwi_text_fini(&pem);
}
END_TEST

static void expect_refused(const char *cert, const struct vwi_text *key, const char *problem)
{
    vw_error_t why = { VW_OK, "" };

    ck_assert_int_eq(vwi_csr_check((struct vwi_span){ cert, cert ? strlen(cert) : 0 }, span_of(key), &why), VW_E_PARSE);
    ck_assert_str_eq(why.text, problem);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

START_TEST(only_a_certificate_of_the_key_is_taken)
{
    struct vwi_text key = VWI_TEXT_INIT, right = VWI_TEXT_INIT, wrong = VWI_TEXT_INIT, none = VWI_TEXT_INIT;
    EVP_PKEY *own, *other = EVP_EC_gen("P-256");
    vw_error_t why = { VW_OK, "" };
    X509 *cert;

    ck_assert_int_eq(vwi_csr_make_key(&key, &why), VW_OK);
    own = key_of(&key);
    cert = cert_make(own, "a", 1);
    pem_of(cert, &right);
    X509_free(cert);
    cert = cert_make(other, "b", 1);
    pem_of(cert, &wrong);
    X509_free(cert);
    ck_assert_int_eq(vwi_csr_check(span_of(&right), span_of(&key), &why), VW_OK);
    expect_refused(wrong.p, &key, "a certificate of another key");
    expect_refused("", &key, "no certificate in PEM form");
    expect_refused(NULL, &key, "no certificate in PEM form");
    expect_refused("{\"error\": \"no\"}", &key, "no certificate in PEM form");
    expect_refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "no certificate in PEM form");
    expect_refused(right.p, &none, "no private key in PEM form without a passphrase");
    vwi_text_add(&right, wrong.p, wrong.len); /* an issuer behind it */
    ck_assert_int_eq(vwi_csr_check(span_of(&right), span_of(&key), &why), VW_OK);
    right.p[right.len -= 60] = '\0'; /* which was cut */
    expect_refused(right.p, &key, "a certificate with something after it that is none");
    ck_assert_int_eq(vwi_csr_write(span_of(&right), &none, &why), VW_E_PARSE);
    EVP_PKEY_free(own);
    EVP_PKEY_free(other);
    vwi_csr_wipe(&key);
    vwi_text_fini(&right);
    vwi_text_fini(&wrong);
}
END_TEST

START_TEST(out_of_memory_is_an_error_like_another)
{
    struct vwi_text key = VWI_TEXT_INIT, pem = VWI_TEXT_INIT;
    vw_error_t why = { VW_OK, "" };

    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_csr_make_key(&key, &why), VW_E_NOMEM);
    vwi_mem_fail_never();
    vwi_text_fini(&key);
    key = (struct vwi_text)VWI_TEXT_INIT;
    why.code = VW_OK;
    ck_assert_int_eq(vwi_csr_make_key(&key, &why), VW_OK);
    vwi_mem_fail_nth(0);
    ck_assert_int_eq(vwi_csr_write(span_of(&key), &pem, &why), VW_E_NOMEM);
    vwi_mem_fail_never();
    vwi_csr_wipe(&key);
    vwi_text_fini(&pem);
}
END_TEST

Suite *csr_suite(void);
Suite *csr_suite(void)
{
    Suite *s = suite_create("csr");
    TCase *t = tcase_create("csr");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, request_is_what_the_boot_script_would_send);
    tcase_add_test(t, only_a_certificate_of_the_key_is_taken);
    tcase_add_test(t, out_of_memory_is_an_error_like_another);
    suite_add_tcase(s, t);
    return s;
}
