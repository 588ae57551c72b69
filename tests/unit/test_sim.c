/* The command line and the signing tool of vastworker-sim, run as the programs they are. */
#include <check.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/vwi.h"
#include "sim_client.h"

#define URL "https://203.0.113.7:41234"

START_TEST(signed_bytes_are_the_known_vector)
{
    static const char text[] = "{\n    \"url\": \"" URL "\"\n}";
    unsigned char digest[32];
    unsigned len = 0;
    char hex[65];
    size_t i;

    ck_assert_int_eq(EVP_Digest(text, strlen(text), digest, &len, EVP_sha256(), NULL), 1);
    for (i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    ck_assert_str_eq(hex, "454801132945a3342c59811ee8c85c11e130f69fdb02bf73e2d5222729b109f6");
}
END_TEST

START_TEST(sign_makes_an_envelope_that_the_public_key_verifies)
{
    struct sim_scratch s;
    struct sim_proc control;
    struct vwi_text out = VWI_TEXT_INIT;
    json_t *envelope, *auth;

    sim_scratch_make(&s);
    {
        const char *const args[] = { "control", "--quiet", "--save-key", s.key, NULL };
        const char *const sign[] = {
            "sign", "--key", s.key, "--url", URL, "--reqnum", "5", "--request-idx=43", "--cost", "242", "--endpoint", "my-ep",
            "--payload", "{\"input\": [1.50, \"\\u00e9\"] , \"input\":1e3}", NULL
        };

        sim_proc_start(&control, args);
        ck_assert_int_eq(sim_proc_run(sign, NULL, &out), 0);
    }
    ck_assert_ptr_nonnull(strstr(out.p, ",\"session_id\":null,\"payload\":{\"input\": [1.50, \"\\u00e9\"] , \"input\":1e3}}\n"));
    ck_assert_ptr_eq(strchr(out.p, '\n'), out.p + out.len - 1);
    envelope = json_loads(out.p, 0, NULL);
    auth = json_object_get(envelope, "auth_data");
    ck_assert_int_eq((int)json_integer_value(json_object_get(auth, "reqnum")), 5);
    ck_assert_int_eq((int)json_integer_value(json_object_get(auth, "request_idx")), 43);
    ck_assert(json_is_real(json_object_get(auth, "cost")));
    ck_assert_str_eq(json_string_value(json_object_get(auth, "endpoint")), "my-ep");
    ck_assert_str_eq(json_string_value(json_object_get(auth, "url")), URL);
    sim_check_signature(control.port, URL, json_string_value(json_object_get(auth, "signature")));
    ck_assert_int_eq(sim_proc_stop(&control), 0);
    json_decref(envelope);
    vwi_text_fini(&out);
    sim_scratch_remove(&s);
}
END_TEST

static void make_key(const struct sim_scratch *s)
{
    const char *const args[] = { "control", "--quiet", "--save-key", s->key, NULL };
    struct sim_proc control;

    sim_proc_start(&control, args);
    ck_assert_int_eq(sim_proc_stop(&control), 0);
}

START_TEST(sign_takes_a_payload_from_a_file_or_standard_input)
{
    struct sim_scratch s;
    struct vwi_text out = VWI_TEXT_INIT, from = VWI_TEXT_INIT;

    sim_scratch_make(&s);
    make_key(&s);
    sim_write_file(s.file, " {\"a\": [1,  2]}\n\n");
    vwi_text_addf(&from, "@%s", s.file);
    {
        const char *const file[] = { "sign", "--key", s.key, "--url", URL, "--payload", from.p, "--session-id", "a\"b", NULL };
        const char *const input[] = { "sign", "--key", s.key, "--url", URL, "--payload", "-", NULL };

        ck_assert_int_eq(sim_proc_run(file, NULL, &out), 0);
        ck_assert_ptr_nonnull(strstr(out.p, ",\"session_id\":\"a\\\"b\",\"payload\":{\"a\": [1,  2]}}\n"));
        vwi_text_clear(&out);
        ck_assert_int_eq(sim_proc_run(input, "{\"b\":1}", &out), 0);
        ck_assert_ptr_nonnull(strstr(out.p, "\"payload\":{\"b\":1}}\n"));
    }
    vwi_text_fini(&out);
    vwi_text_fini(&from);
    sim_scratch_remove(&s);
}
END_TEST

START_TEST(sign_prints_auth_data_alone_or_as_a_header)
{
    struct sim_scratch s;
    struct vwi_text plain = VWI_TEXT_INIT, header = VWI_TEXT_INIT;
    unsigned char decoded[2048];
    int len;

    sim_scratch_make(&s);
    make_key(&s);
    {
        const char *const alone[] = { "sign", "--key", s.key, "--url", URL, "--auth-data-only", NULL };
        const char *const as_header[] = { "sign", "--key", s.key, "--url", URL, "--header", NULL };

        ck_assert_int_eq(sim_proc_run(alone, NULL, &plain), 0);
        ck_assert_int_eq(sim_proc_run(as_header, NULL, &header), 0);
    }
    ck_assert_int_eq(strncmp(header.p, "X-Vast-Auth: ", 13), 0);
    len = EVP_DecodeBlock(decoded, (unsigned char *)header.p + 13, (int)header.len - 14);
    ck_assert_int_ge(len, (int)plain.len - 1);
    ck_assert_int_eq(memcmp(decoded, plain.p, plain.len - 1), 0);
    vwi_text_fini(&plain);
    vwi_text_fini(&header);
    sim_scratch_remove(&s);
}
END_TEST

static const struct {
    const char *args[6];
    const char *says;
} usage_errors[] = {
    { { NULL }, "a command is needed" },
    { { "contrl", NULL }, "unknown command \"contrl\"" },
    { { "control", "--prot", "1", NULL }, "unknown option --prot; did you mean --port?" },
    { { "control", "--port", "70000", NULL }, "--port: expected a whole number from 0 to 65535, got \"70000\"" },
    { { "control", "--port", NULL }, "--port needs a value" },
    { { "control", "--quiet=1", NULL }, "--quiet takes no value" },
    { { "control", "stray", NULL }, "unexpected argument \"stray\"" },
    { { "control", "--behave", "{\"fial\":500}", NULL }, "\"fial\" is not known here" },
    { { "model", "--fail-rate", "2", NULL }, "--fail-rate: expected a number from 0 to 1" },
    { { "all", "--port", "1", NULL }, "say --control-port or --model-port" },
    { { "all", "--", NULL }, "a command must follow --" },
    { { "sign", "--url", URL, NULL }, "--key is needed" },
    { { "sign", "--key", "/dev/null", "--url", URL, NULL }, "not a private RSA key" },
};

START_TEST(usage_errors_are_sentences_with_exit_code_2)
{
    struct vwi_text out = VWI_TEXT_INIT;

    ck_assert_int_eq(sim_proc_run(usage_errors[_i].args, NULL, &out), 2);
    ck_assert_msg(strstr(out.p, usage_errors[_i].says) != NULL, "said: %s", out.p);
    vwi_text_fini(&out);
}
END_TEST

START_TEST(sign_refuses_a_payload_that_is_not_json)
{
    struct sim_scratch s;
    struct vwi_text out = VWI_TEXT_INIT;

    sim_scratch_make(&s);
    make_key(&s);
    {
        const char *const args[] = { "sign", "--key", s.key, "--url", URL, "--payload", "{nope", NULL };

        ck_assert_int_eq(sim_proc_run(args, NULL, &out), 2);
    }
    ck_assert_ptr_nonnull(strstr(out.p, "--payload: not JSON"));
    vwi_text_fini(&out);
    sim_scratch_remove(&s);
}
END_TEST

START_TEST(help_names_every_command_and_option)
{
    static const char *const top[] = { "--help", NULL }, *const version[] = { "--version", NULL };
    static const char *const all[] = { "all", "--help", NULL };
    struct vwi_text out = VWI_TEXT_INIT;

    ck_assert_int_eq(sim_proc_run(top, NULL, &out), 0);
    ck_assert(strstr(out.p, "  control ") && strstr(out.p, "  model ") && strstr(out.p, "  sign ") && strstr(out.p, "  all "));
    ck_assert_int_eq(sim_proc_run(version, NULL, &out), 0);
    ck_assert_ptr_nonnull(strstr(out.p, "vastworker-sim 0."));
    vwi_text_clear(&out);
    ck_assert_int_eq(sim_proc_run(all, NULL, &out), 0);
    ck_assert(strstr(out.p, "  --control-port N") && strstr(out.p, "  --token-ms N") && strstr(out.p, "  --env FILE"));
    vwi_text_fini(&out);
}
END_TEST

Suite *sim_suite(void);

Suite *sim_suite(void)
{
    Suite *s = suite_create("sim");
    TCase *sign = tcase_create("sign");

    tcase_add_test(sign, signed_bytes_are_the_known_vector);
    tcase_add_test(sign, sign_makes_an_envelope_that_the_public_key_verifies);
    tcase_add_test(sign, sign_takes_a_payload_from_a_file_or_standard_input);
    tcase_add_test(sign, sign_prints_auth_data_alone_or_as_a_header);
    tcase_add_test(sign, sign_refuses_a_payload_that_is_not_json);
    tcase_add_loop_test(sign, usage_errors_are_sentences_with_exit_code_2, 0, (int)VWI_ARRAY_LEN(usage_errors));
    tcase_add_test(sign, help_names_every_command_and_option);
    suite_add_tcase(s, sign);
    return s;
}
