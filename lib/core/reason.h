/*
 * Why a request was not served: one table for the status, the header X-Vastworker-Reason, the metric label, the log field and
 * the JSON error. Messages are one sentence with a remedy.
 */
#ifndef VWI_CORE_REASON_H
#define VWI_CORE_REASON_H

#define VWI_ERROR_INVALID "invalid_request_error"
#define VWI_ERROR_AUTH "authentication_error"
#define VWI_ERROR_LIMIT "rate_limit_error"
#define VWI_ERROR_SERVER "server_error"

/* symbol, code, status, type, message */
#define VWI_REASON_LIST(X) \
    X(BAD_REQUEST, "bad_request", 400, VWI_ERROR_INVALID, \
      "The request is not well-formed HTTP/1.1; check its request line, headers and framing.") \
    X(REQUEST_TIMEOUT, "request_timeout", 408, VWI_ERROR_INVALID, \
      "The request did not arrive in time; send headers and body without long pauses.") \
    X(BODY_TOO_LARGE, "body_too_large", 413, VWI_ERROR_INVALID, \
      "The body is larger than this worker takes; send less, or raise limits.maxBodyBytes.") \
    X(URI_TOO_LONG, "uri_too_long", 414, VWI_ERROR_INVALID, \
      "The request target is too long; send parameters in the body, or raise limits.maxHeaderBytes.") \
    X(EXPECTATION_FAILED, "expectation_failed", 417, VWI_ERROR_INVALID, \
      "The Expect header asks for something unknown; send 100-continue or leave it out.") \
    X(HEADER_TOO_LARGE, "header_too_large", 431, VWI_ERROR_INVALID, \
      "The headers are larger than this worker takes; send fewer, or raise limits.maxHeaderBytes.") \
    X(NOT_IMPLEMENTED, "not_implemented", 501, VWI_ERROR_SERVER, \
      "The request asks for an HTTP feature that this worker does not have; use a plain HTTP/1.1 request.") \
    X(VERSION_NOT_SUPPORTED, "version_not_supported", 505, VWI_ERROR_SERVER, \
      "This HTTP version is not served; use HTTP/1.1.") \
    X(TOO_MANY_CONNECTIONS, "too_many_connections", 503, VWI_ERROR_SERVER, \
      "All connections are taken; try again later, or raise limits.maxConnections.") \
    X(NO_ROUTE, "no_route", 404, VWI_ERROR_INVALID, \
      "No handler serves this path; check the path and the handlers of the worker's configuration.") \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, VWI_ERROR_INVALID, \
      "This path does not take this method; use one of those in the Allow header.") \
    X(INVALID_JSON, "invalid_json", 422, VWI_ERROR_INVALID, \
      "The body is not JSON; send a JSON object as UTF-8.") \
    X(INVALID_ENVELOPE, "invalid_envelope", 422, VWI_ERROR_INVALID, \
      "The body lacks a field or has one of the wrong type; send auth_data and payload as the platform's client does.") \
    X(NO_CREDENTIALS, "no_credentials", 401, VWI_ERROR_AUTH, \
      "The request has no credentials; send a bearer key, or auth_data as the platform gave it.") \
    X(KEY_UNAVAILABLE, "key_unavailable", 503, VWI_ERROR_SERVER, \
      "The key that verifies signatures is not there yet; try again later.") \
    X(FOREIGN_URL, "foreign_url", 401, VWI_ERROR_AUTH, \
      "The signature is for another worker's url; ask the platform to route the request again.") \
    X(BAD_SIGNATURE, "bad_signature", 401, VWI_ERROR_AUTH, \
      "The signature does not verify; send auth_data unchanged as the platform gave it.") \
    X(BAD_KEY, "bad_key", 401, VWI_ERROR_AUTH, \
      "The bearer key is not known here; check the Authorization header.") \
    X(INVALID_SESSION, "invalid_session", 410, VWI_ERROR_INVALID, \
      "The session does not exist or has ended; create a new one.") \
    X(SESSION_LIMIT, "session_limit", 429, VWI_ERROR_LIMIT, \
      "All sessions are taken; end one, try again later, or raise maxSessions.") \
    X(PARSER_REFUSED, "parser_refused", 422, VWI_ERROR_INVALID, \
      "The request parser of this route refuses the payload; check its fields.") \
    X(DRAINING, "draining", 503, VWI_ERROR_SERVER, \
      "The worker is about to stop; send the request to another one.") \
    X(NOT_READY, "not_ready", 503, VWI_ERROR_SERVER, \
      "The model is not ready; try again later, and see /health for the reason.") \
    X(PREDICTED_WAIT, "predicted_wait", 429, VWI_ERROR_LIMIT, \
      "The wait would be longer than maxQueueTime or X-Request-Timeout allows; try again later.") \
    X(QUEUE_FULL, "queue_full", 429, VWI_ERROR_LIMIT, \
      "The queue is full; try again later.") \
    X(QUEUE_TIMEOUT, "queue_timeout", 429, VWI_ERROR_LIMIT, \
      "The request waited as long as maxQueueTime or X-Request-Timeout allows; try again later.") \
    X(CLIENT_GONE, "client_gone", 499, VWI_ERROR_INVALID, \
      "The client closed the connection before its answer; keep it open until the answer is complete.") \
    X(MODEL_UNREACHABLE, "model_unreachable", 502, VWI_ERROR_SERVER, \
      "The model server cannot be reached; try again later, and check modelServerUrl and the model server.") \
    X(MODEL_TIMEOUT, "model_timeout", 504, VWI_ERROR_SERVER, \
      "The model server did not answer in time; try again later, or raise the handler's timeouts.") \
    X(MODEL_RESET, "model_reset", 502, VWI_ERROR_SERVER, \
      "The model server ended the connection before its answer; try again, and check its log.") \
    X(NOT_JSON, "not_json", 502, VWI_ERROR_SERVER, \
      "The model server's answer is not JSON, which this route requires; check targetPath and requireJson.") \
    X(INTERNAL, "internal", 500, VWI_ERROR_SERVER, \
      "The worker failed; try again, and see its log.")

enum vwi_reason {
    VWI_REASON_NONE, /* not refused: code, type and message are "", status is 0 */
#define VWI_REASON_ENUM(symbol, code, status, type, message) VWI_REASON_##symbol,
    VWI_REASON_LIST(VWI_REASON_ENUM)
#undef VWI_REASON_ENUM
    VWI_REASON_COUNT
};

/* Static texts. A value outside the list reads as VWI_REASON_INTERNAL. */
const char *vwi_reason_code(enum vwi_reason reason);
int vwi_reason_status(enum vwi_reason reason);
const char *vwi_reason_type(enum vwi_reason reason);
const char *vwi_reason_message(enum vwi_reason reason);
enum vwi_reason vwi_reason_find(const char *code); /* VWI_REASON_NONE: no such code */

#endif
