/*
 * Reading JSON in place: find, count, number, string. For payloads that the envelope's scanner has checked.
 * On other bytes the answers mean nothing, but nothing outside the span is read. Nothing here allocates.
 */
#ifndef VWI_CORE_PAYLOAD_H
#define VWI_CORE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/* The same values as the public enum vw_kind. */
enum vwi_kind {
    VWI_KIND_ABSENT,
    VWI_KIND_NULL,
    VWI_KIND_BOOL,
    VWI_KIND_NUMBER,
    VWI_KIND_STRING,
    VWI_KIND_ARRAY,
    VWI_KIND_OBJECT
};

/*
 * The value at a JSON pointer (RFC 6901); of repeated keys the last counts. *ret_value (may be NULL): a part of json without
 * space around it, untouched when absent. A pointer that is none ("a", "/~2") finds nothing.
 */
enum vwi_kind vwi_payload_find(struct vwi_span json, const char *pointer, struct vwi_span *ret_value);
/* Entries of a list, members of an object as written (a repeated key counts each time); 0 for anything else. */
size_t vwi_payload_count(struct vwi_span value);
/* A number that a double can hold. False: not one, *ret untouched. */
bool vwi_payload_number(struct vwi_span value, double *ret);
/*
 * A string without quotes and escapes, as UTF-8 with a NUL at the end, cut to size - 1 bytes between two characters.
 * *ret_len (may be NULL): bytes written without the NUL. False: not a string, or size is 0.
 */
bool vwi_payload_string(struct vwi_span value, char *out, size_t size, size_t *ret_len);
/*
 * The built-in parser "unwrap": the member "input" where it is an object, else the payload itself. The platform's language model
 * workers unwrap any input that is not null; one that is a string or a list (embeddings, responses) belongs to the model's own
 * request and must not be torn out of it.
 */
struct vwi_span vwi_payload_unwrap(struct vwi_span payload);

struct vwi_scan_long;
/*
 * Values whose ends and counts are known, in the order of the text: from now on, in this thread, none that begins where one of these does is
 * walked through. The array and the text are borrowed until the call with NULL and 0.
 */
void vwi_payload_know(const struct vwi_scan_long *values, size_t count);

/* Exactly one JSON text (RFC 8259, UTF-8, no BOM) with at most max_depth containers inside each other. */
bool vwi_json_valid(struct vwi_span json, int max_depth);

#endif
