/* Values as the platform's clients write them; the words are the platform's, since clients show them to people. */
#include "core/auth_param.h"

#include <math.h>

#include "base/vwi.h"
#include "core/payload.h"

static const struct {
    const char *name;
    size_t len;
} rows[VWI_PARAMS] = {
    [VWI_PARAM_COST] = { "cost", 4 },
    [VWI_PARAM_ENDPOINT] = { "endpoint", 8 },
    [VWI_PARAM_REQNUM] = { "reqnum", 6 },
    [VWI_PARAM_REQUEST_IDX] = { "request_idx", 11 },
    [VWI_PARAM_SIGNATURE] = { "signature", 9 },
    [VWI_PARAM_URL] = { "url", 3 },
};

int vwi_param_find(const struct vwi_scan_string *name)
{
    int i;

    for (i = 0; i < VWI_PARAMS; i++) {
        if (vwi_scan_string_is(name, rows[i].name, rows[i].len))
            return i;
    }
    return -1;
}

bool vwi_param_cost(struct vwi_span value, double *ret)
{
    char text[64];
    size_t len;

    if (!value.len || value.p[0] != '"')
        return vwi_scan_number(value, ret);
    if (value.len > sizeof text || !vwi_payload_string(value, text, sizeof text, &len))
        return false;
    return vwi_scan_number((struct vwi_span){ text, len }, ret);
}

bool vwi_param_integer(struct vwi_span value, long long *ret)
{
    bool negative = value.len && value.p[0] == '-';
    size_t i = negative ? 1 : 0;
    long long number = 0;
    double real;

    if (!vwi_scan_number(value, &real))
        return false;
    for (; i < value.len && value.p[i] >= '0' && value.p[i] <= '9'; i++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, (long long)(value.p[i] - '0'), &number))
            return false;
    }
    if (i < value.len) { /* a fraction or an exponent */
        if (!(fabs(real) < 9223372036854775808.0) || real != floor(real))
            return false;
        *ret = (long long)real;
        return true;
    }
    return negative ? (*ret = number, true) : !__builtin_sub_overflow(0LL, number, ret);
}

bool vwi_param_describe(unsigned missing, unsigned wrong, struct vwi_text *out)
{
    const char *before = "{\"";
    int i;

    for (i = 0; i < VWI_PARAMS; i++) {
        if (!((missing | wrong) & VWI_BIT(i)))
            continue;
        vwi_text_adds(out, before);
        vwi_text_adds(out, rows[i].name);
        vwi_text_adds(out, missing & VWI_BIT(i) ? "\": \"missing parameter\"" : "\": \"wrong type\"");
        before = ", \"";
    }
    return vwi_text_adds(out, "}");
}
