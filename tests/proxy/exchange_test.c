#include "proxy/exchange_private.h"
#include "stepped_worker.h"

/* ---- an exchange as far as its headers go ---- */

static struct worker *worker;
static struct exchange *x;
static struct front front;
static struct conn client; /* only its peer is looked at */
static struct message *request, *response;

static struct conn *detach(struct stream *s, struct str *leftover)
{
    return NULL;
}

/* Of a connection that is one stream's alone, and of one that others share. */
static const struct codec_ops own_codec = {.detach = detach}, shared_codec = {0};
static struct stream client_side, upstream_side;

static void begin(enum direction_kind direction)
{
    worker = stepped_worker_new();
    x = calloc(1, sizeof *x);
    front = (struct front){.worker = worker, .conn = &client, .direction = (uint8_t)direction};
    client.peer = (struct address){.family = AF_INET, .ip = {10, 1, 2, 3}, .port = 999};
    x->worker = worker;
    x->front = &front;
    client_side = upstream_side = (struct stream){.codec = &own_codec};
    x->client = &client_side;
    x->upstream = &upstream_side;
    x->generation = worker->generation;
    arena_init(&x->arena, 0, EXCHANGE_ARENA_LIMIT);
    x->asking = arena_zalloc(&x->arena, sizeof *x->asking);
    request = x->request = arena_zalloc(&x->arena, sizeof *request);
    request->method = STR("GET");
    request->target = request->path = STR("/");
    request->authority = STR("a");
    request->version = 11;
    response = arena_zalloc(&x->arena, sizeof *response);
    response->status = 200;
    response->version = 11;
}

static void end(void)
{
    arena_release(&x->arena);
    free(x);
    worker_free(worker);
}

/* "A: b\nC: d" */
static void put(struct headers *f, const char *lines)
{
    struct str rest = str_from(lines), line;

    while (rest.n && str_split(&rest, '\n', &line)) {
        size_t colon = str_index(line, ':', 0);

        ck_assert(headers_add(f, &x->arena, str_slice(line, 0, colon),
                              str_trim_ows(str_slice(line, colon + 1, line.n))));
    }
}

/* Without the mark that each request gets, see loop.h. */
static const char *got(const struct headers *f)
{
    static char text[2000];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].id != HEADER_SIDESPAN_VIA)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s:%s%.*s", n ? "\n" : "",
                                  STR_ARG(f->v[i].name), f->v[i].value.n ? " " : "",
                                  STR_ARG(f->v[i].value));
    return text;
}

/* ---- requests ---- */

static const struct {
    enum direction_kind direction;
    const char *in, *out;
    const char *authority; /* NULL: a */
    unsigned version;      /* 0: 11 */
    bool upgrade;          /* is asked for */
} requests[] = {
    /* What concerns one connection ends there; the rest keeps its order, case and bytes. */
    {DIRECTION_OUTBOUND, "host: a\nX-b: 1\nKeep-Alive: 5\nx-B: 2\nProxy-Connection: keep-alive",
     "host: a\nX-b: 1\nx-B: 2", NULL, 0, false},
    {DIRECTION_OUTBOUND, "Host: a\nConnection: close, X-Mine\nx-mine: 1\nX-Mine: 2\nOther: 3",
     "Host: a\nOther: 3", NULL, 0, false},
    {DIRECTION_OUTBOUND, "Host: a\nConnection: X\nConnection: Y\nX: 1\nZ: 2\nY: 3", "Host: a\nZ: 2",
     NULL, 0, false},
    {DIRECTION_OUTBOUND, "Host: a\nConnection:\nConnection: , ,\nX: 1", "Host: a\nX: 1", NULL, 0,
     false},
    /* Nobody can have a field that others rely on removed by naming it. */
    {DIRECTION_OUTBOUND,
     "Connection: Host, Content-Length, Transfer-Encoding, traceparent, tracestate, baggage,"
     " x-trace-id, grpc-trace-bin, X-Forwarded-For, X-FORWARDED-PORT, X-Forwarded-Proto, "
     "Forwarded, x\n"
     "Host: a\nContent-Length: 3\ntraceparent: t\ntracestate: s\nbaggage: b\nx-trace-id: i\n"
     "grpc-trace-bin: g\n"
     "X-Forwarded-For: f\nX-Forwarded-Port: 1\nX-Forwarded-Proto: p\nForwarded: for=q\nX: gone",
     "Host: a\nContent-Length: 3\ntraceparent: t\ntracestate: s\nbaggage: b\nx-trace-id: i\n"
     "grpc-trace-bin: g\n"
     "X-Forwarded-For: f\nX-Forwarded-Port: 1\nX-Forwarded-Proto: p\nForwarded: for=q",
     NULL, 0, false},
    /* Of TE only what a client may say of trailers. */
    {DIRECTION_OUTBOUND, "Host: a\nTE: gzip, Trailers\nConnection: TE", "Host: a\nTE: trailers",
     NULL, 0, false},
    {DIRECTION_OUTBOUND, "Host: a\nTE: gzip;q=0.5", "Host: a", NULL, 0, false},
    /* Upgrades that are known are passed on; others are ignored. */
    {DIRECTION_OUTBOUND, "Host: a\nConnection: Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Key: k",
     "Host: a\nUpgrade: WebSocket\nSec-WebSocket-Key: k", NULL, 0, true},
    {DIRECTION_OUTBOUND, "Host: a\nConnection: Upgrade\nUpgrade: TLS/1.2", "Host: a", NULL, 0,
     true},
    {DIRECTION_OUTBOUND,
     "Host: a\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\n"
     "HTTP2-Settings: AAM",
     "Host: a", NULL, 0, true},
    {DIRECTION_OUTBOUND, "Host: a\nUpgrade: websocket", "Host: a", NULL, 0, false},
    /* There is one Host, and it is the authority's. */
    {DIRECTION_OUTBOUND, "X: 1\nHost: a", "X: 1\nHost: b:8", "b:8", 0, false},
    {DIRECTION_OUTBOUND, "X: 1", "X: 1\nHost: b", "b", 10, false},
    /* Nobody waits for a 100 that HTTP/1.0 does not know. */
    {DIRECTION_OUTBOUND, "Host: a\nExpect: 100-continue", "Host: a\nExpect: 100-continue", NULL, 0,
     false},
    {DIRECTION_OUTBOUND, "Host: a\nExpect: 100-continue", "Host: a", NULL, 10, false},
    /* Inbound, the service is told who called. */
    {DIRECTION_INBOUND, "Host: a", "Host: a\nx-forwarded-for: 10.1.2.3\nx-forwarded-proto: http",
     NULL, 0, false},
    {DIRECTION_INBOUND, "Host: a\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https",
     "Host: a\nX-Forwarded-For: 1.1.1.1, 10.1.2.3\nX-Forwarded-Proto: https", NULL, 0, false},
    {DIRECTION_INBOUND, "X-Forwarded-For: 1.1.1.1\nHost: a\nX-Forwarded-For: 2.2.2.2, 3.3.3.3",
     "X-Forwarded-For: 1.1.1.1\nHost: a\nX-Forwarded-For: 2.2.2.2, 3.3.3.3, 10.1.2.3\n"
     "x-forwarded-proto: http",
     NULL, 0, false},
    {DIRECTION_INBOUND, "Host: a\nX-Forwarded-For:",
     "Host: a\nX-Forwarded-For:\nx-forwarded-for: 10.1.2.3\nx-forwarded-proto: http", NULL, 0,
     false},
};

START_TEST(a_request_is_sent_on_with_what_is_the_next_hops_business)
{
    begin(requests[_i].direction);
    put(&request->fields, requests[_i].in);
    if (requests[_i].authority)
        request->authority = str_from(requests[_i].authority);
    if (requests[_i].version)
        request->version = (uint8_t)requests[_i].version;
    request->upgrade = requests[_i].upgrade;
    request->close = true; /* the client's connection, not ours */
    ck_assert(exchange_edit_request(x));
    ck_assert_str_eq(got(&request->fields), requests[_i].out);
    ck_assert(!request->close);
    ck_assert_int_eq(request->upgrade,
                     requests[_i].upgrade && strstr(requests[_i].out, "Upgrade:") != NULL);
    end();
}
END_TEST

START_TEST(an_origin_is_asked_in_origin_form)
{
    static const struct {
        const char *target, *path, *query, *sent;
    } rows[] = {
        {"/a?b", "/a", "b", "/a?b"},  {"/", "/", NULL, "/"},
        {"*", "*", NULL, "*"},        {"http://h/a%2f?b=c", "/a%2f", "b=c", "/a%2f?b=c"},
        {"http://h", "/", NULL, "/"}, {"http://h?", "/", "", "/?"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(DIRECTION_OUTBOUND);
        request->target = str_from(rows[i].target);
        request->path = str_from(rows[i].path);
        request->query = str_from(rows[i].query);
        ck_assert(exchange_edit_request(x));
        ck_assert_msg(str_eq(request->target, str_from(rows[i].sent)), "%s: %.*s", rows[i].target,
                      STR_ARG(request->target));
        end();
    }
}
END_TEST

START_TEST(a_request_with_a_body_is_upgraded_where_both_connections_are_its_own)
{
    for (int i = 0; i < 4; i++) {
        begin(DIRECTION_OUTBOUND);
        client_side.codec = i & 1 ? &shared_codec : &own_codec;
        upstream_side.codec = i & 2 ? &shared_codec : &own_codec;
        put(&request->fields, "Host: a\nConnection: upgrade\nUpgrade: tcp\nContent-Length: 1");
        request->upgrade = true;
        request->body = BODY_LENGTH;
        request->length = 1;
        ck_assert(exchange_edit_request(x));
        ck_assert_int_eq(request->upgrade, i == 0);
        ck_assert_str_eq(got(&request->fields), i ? "Host: a\nContent-Length: 1"
                                                  : "Host: a\nUpgrade: tcp\nContent-Length: 1");
        end();
    }
}
END_TEST

START_TEST(only_a_websocket_is_asked_for_through_http2)
{
    begin(DIRECTION_OUTBOUND);
    upstream_side.codec = &shared_codec;
    put(&request->fields, "Host: a\nConnection: upgrade\nUpgrade: foo, websocket");
    request->upgrade = true;
    ck_assert(exchange_edit_request(x));
    ck_assert(request->upgrade);
    ck_assert_str_eq(got(&request->fields), "Host: a\nUpgrade: websocket");
    end();
}
END_TEST

START_TEST(http_1_0_asks_for_no_upgrade)
{
    begin(DIRECTION_OUTBOUND);
    request->version = 10;
    put(&request->fields, "Host: a\nConnection: upgrade\nUpgrade: websocket\nContent-Length: 1");
    request->upgrade = true;
    ck_assert(exchange_edit_request(x));
    ck_assert(!request->upgrade);
    ck_assert_str_eq(got(&request->fields), "Host: a\nContent-Length: 1");
    end();
}
END_TEST

START_TEST(a_full_arena_is_an_answer_not_a_crash)
{
    begin(DIRECTION_INBOUND);
    put(&request->fields, "Host: a");
    while (arena_alloc(&x->arena, 64))
        ;
    request->fields.cap = request->fields.n;
    ck_assert(!exchange_edit_request(x));
    end();
}
END_TEST

/* ---- responses ---- */

START_TEST(a_response_loses_what_was_for_us_alone)
{
    begin(DIRECTION_OUTBOUND);
    put(&response->fields, "Server: s\nConnection: keep-alive, X-Hop\nKeep-Alive: timeout=5\n"
                           "X-Hop: 1\nSet-Cookie: a\nset-cookie: b\nUpgrade: h2c");
    ck_assert(exchange_edit_response(x, response));
    ck_assert_str_eq(got(&response->fields), "Server: s\nSet-Cookie: a\nset-cookie: b");
    end();
}
END_TEST

START_TEST(the_end_of_a_body_is_told_in_the_clients_version)
{
    static const struct {
        unsigned version;
        enum body_kind upstream, client;
    } rows[] = {
        {11, BODY_LENGTH, BODY_LENGTH},           {11, BODY_CHUNKED, BODY_CHUNKED},
        {11, BODY_UNTIL_CLOSE, BODY_CHUNKED},     {11, BODY_NONE, BODY_NONE},
        {10, BODY_LENGTH, BODY_LENGTH},           {10, BODY_CHUNKED, BODY_UNTIL_CLOSE},
        {10, BODY_UNTIL_CLOSE, BODY_UNTIL_CLOSE}, {10, BODY_NONE, BODY_NONE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(DIRECTION_OUTBOUND);
        request->version = (uint8_t)rows[i].version;
        response->body = (uint8_t)rows[i].upstream;
        ck_assert(exchange_edit_response(x, response));
        ck_assert_int_eq(response->body, rows[i].client);
        end();
    }
}
END_TEST

START_TEST(an_interim_response_and_a_101_keep_their_fields)
{
    begin(DIRECTION_OUTBOUND);
    response->status = 103;
    put(&response->fields, "Link: x\nConnection: close");
    ck_assert(exchange_edit_response(x, response));
    ck_assert_str_eq(got(&response->fields), "Link: x");
    response->status = 101;
    response->upgrade = true;
    response->fields.n = 0;
    put(&response->fields, "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: k");
    ck_assert(exchange_edit_response(x, response));
    ck_assert_str_eq(got(&response->fields), "Upgrade: websocket\nSec-WebSocket-Accept: k");
    end();
}
END_TEST

/* ---- the kept body ---- */

/* A codec that writes down what it is given. */
static char sent[1000];

static void note(const char *what, uint64_t n)
{
    snprintf(sent + strlen(sent), sizeof sent - strlen(sent), "%s%llu ", what,
             (unsigned long long)n);
}

static void note_chunk(struct stream *s, uint64_t size)
{
    note("c", size);
}

static void note_body(struct stream *s, struct str data)
{
    note("b", data.n);
}

START_TEST(a_kept_body_is_sent_again_in_its_chunks)
{
    static const struct codec_ops ops = {.send_chunk = note_chunk, .send_body = note_body};
    struct stream s = {.codec = &ops};

    begin(DIRECTION_OUTBOUND);
    buffer_init(&x->held, 0);
    x->replayable = true;
    ck_assert(exchange_hold_chunk(x, 5));
    ck_assert(exchange_hold_data(x, STR("he")));
    ck_assert(exchange_hold_data(x, STR("llo")));
    ck_assert(exchange_hold_chunk(x, 100));
    ck_assert(exchange_hold_data(x, STR("part")));
    x->upstream = &s;
    for (int i = 0; i < 2; i++) {
        sent[0] = '\0';
        exchange_send_held(x);
        ck_assert_str_eq(sent, "c5 b2 b3 c100 b4 ");
    }
    /* Sent and too much to keep: it is not kept, and not sent again. */
    ck_assert(exchange_hold_data(x, str_of(sent, 10)));
    ck_assert(x->replayable);
    ck_assert(exchange_hold_chunk(x, REPLAY_BYTES_MAX));
    ck_assert(!x->replayable);
    ck_assert_uint_eq(x->held.n, 0);
    buffer_release(&x->held);
    end();
}
END_TEST

/* ---- rest ---- */

static bool is_holding;

static bool hold(struct stream *s)
{
    return is_holding;
}

static const struct codec_ops plain_ops = {0};
static const struct codec_ops holding_ops = {.holds = hold};
static struct stream plain = {.codec = &plain_ops}, holding = {.codec = &holding_ops};

/* Its response has begun. */
static void begin_answering(void)
{
    begin(DIRECTION_OUTBOUND);
    x->client = &plain;
    x->upstream = &holding;
    x->state = EXCHANGE_ANSWERING;
    x->response_begun = true;
    x->last_activity = loop_now(&worker->loop) - EXCHANGE_REST_AFTER;
    is_holding = false;
    buffer_init(&x->held, 0);
    list_push_back(&worker->active, &x->link);
}

static void end_answering(void)
{
    list_remove(&x->link);
    end();
}

static void go_round(void)
{
    struct timer *t = &worker->pool->rest;

    loop_begin_turn(&worker->loop);
    timer_disarm(t);
    t->fire(t);
    loop_end_turn(&worker->loop);
}

static struct str in_arena(const char *text)
{
    return arena_dup(&x->arena, str_from(text));
}

START_TEST(what_the_span_says_outlives_the_arena)
{
    static const char *const texts[] = {"GET", "/p", "", "v1=1", "an agent"};
    static const enum span_text kinds[] = {SPAN_METHOD, SPAN_PATH, SPAN_QUERY, SPAN_TRACESTATE,
                                           SPAN_USER_AGENT};
    struct str literal = STR("original");
    struct span *s;

    begin_answering();
    s = &x->span;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        s->text[kinds[i]] = in_arena(texts[i]);
    s->text[SPAN_CLUSTER] = literal;
    for (int i = 0; i < 9; i++)
        span_add_extra(s, &x->arena, EXTRA_RESPONSE_HEADER, STR("x-name"),
                       arena_printf(&x->arena, "value %d", i));
    ck_assert(buffer_add(&x->held, "body", 4));
    go_round();
    ck_assert(x->rested && !x->request && !x->asking && !x->held.p);
    ck_assert_uint_lt(x->arena.used_bytes, 9 * sizeof *s->extras + 200);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        ck_assert(str_eq(s->text[kinds[i]], str_from(texts[i])));
    ck_assert_ptr_nonnull(s->text[SPAN_QUERY].p); /* there was one, though empty */
    ck_assert_ptr_null(s->text[SPAN_FAULT].p);
    ck_assert_ptr_eq(s->text[SPAN_CLUSTER].p, literal.p);
    ck_assert_uint_eq(s->n_extras, 9);
    for (int i = 0; i < 9; i++) {
        ck_assert(str_eq(s->extras[i].key, STR("x-name")));
        ck_assert_int_eq(s->extras[i].value.p[6], '0' + i);
    }
    end_answering();
}
END_TEST

START_TEST(only_an_idle_response_rests)
{
    struct timer *again;

    begin_answering();
    again = &worker->pool->rest;
    x->last_activity += EXCHANGE_REST_AFTER; /* it is not idle yet */
    go_round();
    ck_assert(!x->rested && timer_armed(again));
    x->last_activity -= EXCHANGE_REST_AFTER;
    is_holding = true; /* trailers are coming */
    go_round();
    ck_assert(!x->rested && timer_armed(again));
    is_holding = false;
    x->span.upgraded = true;
    go_round();
    ck_assert(!x->rested && !timer_armed(again));
    x->span.upgraded = false;
    x->response_begun = false; /* the next to answer has the look go round again */
    go_round();
    ck_assert(!x->rested && !timer_armed(again));
    x->response_begun = true;
    go_round();
    ck_assert(x->rested && !timer_armed(again));
    go_round(); /* it has nothing more to give */
    ck_assert(!timer_armed(again));
    end_answering();
}
END_TEST

START_TEST(without_memory_an_exchange_goes_on_as_it_is)
{
    begin_answering();
    while (arena_alloc(&x->arena, 16))
        ;
    go_round();
    ck_assert(!x->rested && x->request && x->asking);
    ck_assert(timer_armed(&worker->pool->rest));
    end_answering();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("exchange");
    TCase *t = tcase_create("exchange");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_request_is_sent_on_with_what_is_the_next_hops_business, 0,
                        (int)(sizeof requests / sizeof requests[0]));
    tcase_add_test(t, an_origin_is_asked_in_origin_form);
    tcase_add_test(t, a_request_with_a_body_is_upgraded_where_both_connections_are_its_own);
    tcase_add_test(t, only_a_websocket_is_asked_for_through_http2);
    tcase_add_test(t, http_1_0_asks_for_no_upgrade);
    tcase_add_test(t, a_full_arena_is_an_answer_not_a_crash);
    tcase_add_test(t, a_response_loses_what_was_for_us_alone);
    tcase_add_test(t, the_end_of_a_body_is_told_in_the_clients_version);
    tcase_add_test(t, an_interim_response_and_a_101_keep_their_fields);
    tcase_add_test(t, a_kept_body_is_sent_again_in_its_chunks);
    tcase_add_test(t, what_the_span_says_outlives_the_arena);
    tcase_add_test(t, only_an_idle_response_rests);
    tcase_add_test(t, without_memory_an_exchange_goes_on_as_it_is);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
