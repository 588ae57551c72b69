/* A JSON pointer on the first line, a payload after it: readers in place against jansson's document. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scan.h"
#include "core/workload.h"
#include "oracle_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void weigh(char *pointer, struct vwi_span payload)
{
    static const enum vwi_workload_kind kinds[] = { VWI_WORKLOAD_FIELD, VWI_WORKLOAD_COUNT, VWI_WORKLOAD_BYTES };
    size_t i;

    for (i = 0; i < VWI_ARRAY_LEN(kinds); i++) {
        struct vwi_workload_conf conf = { .kind = kinds[i], .value = 2, .pointer = pointer };
        bool fallback;

        if (!vwi_workload_valid(vwi_workload_weigh(&conf, payload, payload.len, &fallback, NULL)))
            abort();
    }
}

/* Scanned in pieces, so that long values are known: the readers find and count what they do without. */
static void walk_with_known_values(const char *pointer, struct vwi_span payload, size_t piece)
{
    struct vwi_scan_long longs[VWI_SCAN_LONG_MAX];
    struct vwi_span before = { NULL, 0 }, after = { NULL, 0 };
    enum vwi_kind kind = vwi_payload_find(payload, pointer, &before);
    size_t at, members = vwi_payload_count(payload), entries = vwi_payload_count(before);
    struct vwi_scan s;

    vwi_scan_init(&s, 512, -1);
    for (at = 0; at < payload.len && vwi_scan_run(&s, payload.p, at) == VWI_SCAN_MORE; at += piece)
        continue;
    if (vwi_scan_run(&s, payload.p, payload.len) == VWI_SCAN_MORE && vwi_scan_is_whole(&s)) {
        vwi_payload_know(longs, vwi_scan_longs(&s, payload.p, longs));
        if (vwi_payload_find(payload, pointer, &after) != kind || after.p != before.p || after.len != before.len ||
            vwi_payload_count(payload) != members || vwi_payload_count(after) != entries)
            abort();
        vwi_payload_know(NULL, 0);
    }
    vwi_scan_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = size < 8192 ? memchr(data, '\n', size) : NULL;
    size_t pointer_len = line_end ? (size_t)(line_end - data) : 0, len = size - pointer_len - 1;
    char *pointer, *payload, cut[5];
    const char *complaint;
    struct vwi_span value = { NULL, 0 };

    if (!line_end || memchr(data, 0, pointer_len))
        return 0;
    pointer = strndup((const char *)data, pointer_len);
    payload = malloc(len ? len : 1); /* of this very size, so that a sanitizer sees every step beyond */
    if (len)
        memcpy(payload, line_end + 1, len);
    complaint = oracle_check_payload(payload, len, pointer);
    if (complaint) {
        fprintf(stderr, "%s\n", complaint);
        abort();
    }
    vwi_payload_unwrap((struct vwi_span){ payload, len });
    if (vwi_payload_find((struct vwi_span){ payload, len }, pointer, &value) != VWI_KIND_ABSENT)
        vwi_payload_string(value, cut, sizeof cut, NULL);
    weigh(pointer, (struct vwi_span){ payload, len });
    walk_with_known_values(pointer, (struct vwi_span){ payload, len }, pointer_len % 7 + 1);
    free(pointer);
    free(payload);
    return 0;
}
