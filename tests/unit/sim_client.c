/* fork and exec, not posix_spawn: only so can the child ask to die with a test that fails half-way. */
#include "sim_client.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/vwi.h"

#define BINARY VWT_BUILD "/vastworker-sim"
#define PATIENCE_S 30

static pid_t spawn(const char *const *args, int in, int out, bool errors_too)
{
    const char *argv[SIM_ARGS_MAX + 2] = { BINARY };
    size_t i;
    pid_t pid;

    for (i = 0; args[i]; i++) {
        ck_assert_uint_lt(i, SIM_ARGS_MAX);
        argv[i + 1] = args[i];
    }
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    dup2(in >= 0 ? in : open("/dev/null", O_RDONLY | O_CLOEXEC), 0); /* never a terminal */
    dup2(out, 1);
    if (errors_too)
        dup2(out, 2);
    execv(BINARY, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void sim_proc_start(struct sim_proc *proc, const char *const *args)
{
    int ends[2];
    const char *colon;

    *proc = (struct sim_proc){ 0 };
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    proc->pid = spawn(args, -1, ends[1], false);
    close(ends[1]);
    proc->out = fdopen(ends[0], "r");
    ck_assert_ptr_nonnull(proc->out);
    sim_proc_wait_line(proc, "http://127.0.0.1:");
    colon = strrchr(proc->line, ':');
    proc->port = (int)strtol(colon + 1, NULL, 10);
    ck_assert_int_gt(proc->port, 0);
}

const char *sim_proc_wait_line(struct sim_proc *proc, const char *text)
{
    while (fgets(proc->line, sizeof proc->line, proc->out)) {
        proc->line[strcspn(proc->line, "\n")] = '\0';
        if (strstr(proc->line, text))
            return proc->line;
    }
    ck_abort_msg("no line with \"%s\" on stdout", text);
    return NULL;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int sim_proc_stop(struct sim_proc *proc)
{
    char rest[512];

    kill(proc->pid, SIGTERM);
    while (fread(rest, 1, sizeof rest, proc->out) > 0)
        ;
    fclose(proc->out);
    return wait_for(proc->pid);
}

static void read_all(int fd, struct vwi_text *ret)
{
    ssize_t n;

    do {
        ck_assert(vwi_text_reserve(ret, 4096));
        n = read(fd, ret->p + ret->len, 4096);
        if (n > 0)
            ret->len += (size_t)n;
    } while (n > 0 || (n < 0 && errno == EINTR));
    ret->p[ret->len] = '\0';
}

int sim_proc_run(const char *const *args, const char *input, struct vwi_text *ret_output)
{
    int in[2], out[2];
    pid_t pid;

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    pid = spawn(args, in[0], out[1], true);
    close(in[0]);
    close(out[1]);
    if (input)
        ck_assert_int_eq(write(in[1], input, strlen(input)), (ssize_t)strlen(input));
    close(in[1]);
    read_all(out[0], ret_output);
    close(out[0]);
    return wait_for(pid);
}

int sim_http_send(int port, const char *method, const char *target, const char *headers, const char *body)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { PATIENCE_S, 0 };
    struct vwi_text text = VWI_TEXT_INIT;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    vwi_text_addf(&text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n%s", method, target, port,
                  headers ? headers : "");
    if (body)
        vwi_text_addf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    vwi_text_adds(&text, "\r\n");
    vwi_text_adds(&text, body ? body : "");
    ck_assert_int_eq(send(fd, text.p, text.len, MSG_NOSIGNAL), (ssize_t)text.len);
    vwi_text_fini(&text);
    return fd;
}

bool sim_read_until(int fd, const char *text)
{
    struct vwi_text got = VWI_TEXT_INIT;
    bool found = false;
    ssize_t n;

    do {
        ck_assert(vwi_text_reserve(&got, 1));
        n = recv(fd, got.p + got.len, 1, 0);
        if (n > 0)
            got.len++;
        got.p[got.len] = '\0';
        found = got.len >= strlen(text) && strcmp(got.p + got.len - strlen(text), text) == 0;
    } while (n > 0 && !found);
    vwi_text_fini(&got);
    return found;
}

/* Joins the chunks; false when the last one is missing. */
static bool join_chunks(const char *p, struct vwi_text *ret)
{
    for (;;) {
        char *end;
        size_t len = (size_t)strtoul(p, &end, 16);

        if (end == p || strncmp(end, "\r\n", 2) != 0)
            return false;
        if (len == 0)
            return true;
        p = end + 2;
        if (strlen(p) < len + 2)
            return false;
        vwi_text_add(ret, p, len);
        p += len + 2;
    }
}

void sim_http(int port, const char *method, const char *target, const char *headers, const char *body, struct sim_reply *ret)
{
    int fd = sim_http_send(port, method, target, headers, body);
    struct vwi_text raw = VWI_TEXT_INIT;
    const char *end, *length;

    *ret = (struct sim_reply){ 0 };
    read_all(fd, &raw);
    close(fd);
    end = strstr(raw.p, "\r\n\r\n");
    if (end) {
        vwi_text_add(&ret->head, raw.p, (size_t)(end - raw.p));
        ret->status = (int)strtol(raw.p + strlen("HTTP/1.1 "), NULL, 10);
        vwi_text_adds(&ret->body, "");
        length = strcasestr(ret->head.p, "\r\nContent-Length:");
        if (strcasestr(ret->head.p, "\r\nTransfer-Encoding: chunked")) {
            ret->whole = join_chunks(end + 4, &ret->body);
        } else {
            vwi_text_adds(&ret->body, end + 4);
            ret->whole = length && strtoul(length + strlen("\r\nContent-Length:"), NULL, 10) == ret->body.len;
        }
    }
    vwi_text_fini(&raw);
}

void sim_reply_fini(struct sim_reply *reply)
{
    vwi_text_fini(&reply->head);
    vwi_text_fini(&reply->body);
}

static int ask(int port, const char *method, const char *target, const char *body, json_t **ret)
{
    struct sim_reply reply;
    int status;

    sim_http(port, method, target, NULL, body, &reply);
    if (ret)
        *ret = reply.body.p ? json_loads(reply.body.p, JSON_DECODE_ANY, NULL) : NULL;
    status = reply.status;
    sim_reply_fini(&reply);
    return status;
}

int sim_post(int port, const char *target, const char *body, json_t **ret) { return ask(port, "POST", target, body, ret); }
int sim_get(int port, const char *target, json_t **ret) { return ask(port, "GET", target, NULL, ret); }

void sim_get_text(int port, const char *target, struct vwi_text *ret)
{
    struct sim_reply reply;

    sim_http(port, "GET", target, NULL, NULL, &reply);
    ck_assert_int_eq(reply.status, 200);
    vwi_text_adds(ret, reply.body.p);
    sim_reply_fini(&reply);
}

void sim_check_signature(int port, const char *url, const char *signature)
{
    struct vwi_text text = VWI_TEXT_INIT;
    unsigned char raw[512];
    struct vwi_text pem = VWI_TEXT_INIT;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *key;
    BIO *bio;

    ck_assert(vwi_text_addf(&text, "{\n    \"url\": \"%s\"\n}", url));
    ck_assert_uint_eq(strlen(signature), 344);
    ck_assert_int_eq(EVP_DecodeBlock(raw, (const unsigned char *)signature, 344), 258);
    sim_get_text(port, "/pubkey/", &pem);
    bio = BIO_new_mem_buf(pem.p, (int)pem.len);
    key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(key);
    ck_assert_int_eq(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    ck_assert_int_eq(EVP_DigestVerify(ctx, raw, 256, (unsigned char *)text.p, text.len), 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
    vwi_text_fini(&text);
    vwi_text_fini(&pem);
}

void sim_scratch_make(struct sim_scratch *s)
{
    snprintf(s->dir, sizeof s->dir, "/tmp/vwt-sim-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    snprintf(s->key, sizeof s->key, "%s/key.pem", s->dir);
    snprintf(s->file, sizeof s->file, "%s/file", s->dir);
    snprintf(s->other, sizeof s->other, "%s/other", s->dir);
}

void sim_scratch_remove(const struct sim_scratch *s)
{
    unlink(s->key);
    unlink(s->file);
    unlink(s->other);
    ck_assert_int_eq(rmdir(s->dir), 0);
}

void sim_write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    fclose(f);
}

void sim_read_file(const char *name, struct vwi_text *ret)
{
    FILE *f = fopen(name, "r");
    char buf[4096];
    size_t n;

    ck_assert_msg(f != NULL, "no file %s", name);
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        vwi_text_add(ret, buf, n);
    fclose(f);
}
