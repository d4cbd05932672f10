/*
 * What the files of the HTTP/2 codec share.
 */
#ifndef SIDESPAN_PROXY_HTTP2_PRIVATE_H
#define SIDESPAN_PROXY_HTTP2_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "base/buffer.h"
#include "mesh/config.h"
#include "proxy/http2.h"
#include "proxy/http2_memory.h"
#include "proxy/loop.h"
#include "proxy/metrics.h"
#include "proxy/timer.h"

enum {
    HTTP2_FRAME_HEAD = 9,
    HTTP2_DEPENDENCY = 4,
    HTTP2_PACK_BYTES = 64 * 1024,
    HTTP2_LATE_MAX = 64,
    HTTP2_CREDIT_MOST = 4000,
    HTTP2_FRAME_BYTES = 16384, /* of a payload, since we say nothing else */
    HTTP2_BOMB_FACTOR = 4,     /* a head so many times over the limit ends the connection */
};

/* What the HTTP/2 connections of one loop share. */
struct http2_common {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    struct http2_memory *memory; /* owned */
    nghttp2_mem allocator;       /* the same, for nghttp2 */
    char *pack;                  /* HTTP2_PACK_BYTES: frames of the session that is being sent */
};

enum http2_input {
    H2_HEAD,     /* the head, or after an interim one the next */
    H2_BODY,     /* DATA */
    H2_TRAILERS, /* a block of trailers is coming */
    H2_OVER,     /* nothing: the peer has ended its side */
};

enum http2_output {
    H2_OUT_HEAD,  /* the (final) head is to be sent */
    H2_OUT_BODY,  /* DATA */
    H2_OUT_ENDED, /* all was given to us, the end too */
};

struct http2_stream {
    struct stream stream;
    struct http2 *h;
    struct http2_memory *memory; /* it is from */
    struct list link;            /* in h->streams */
    struct list lent;            /* in h->lent: something is borrowed in this turn; or alone */
    struct list waiting;         /* in h->waiting: on_drained() is owed; or alone */
    struct burial burial;
    int32_t id; /* 0: no head was sent yet */
    uint8_t input, output;
    bool closed;        /* nghttp2 has forgotten it */
    bool deferred;      /* nghttp2 waits to be told that there is DATA */
    bool paused;        /* the owner takes no body */
    bool wide;          /* its window was opened */
    bool reset_by_peer; /* RST_STREAM came */
    bool welcome;       /* client: it was given a further window */
    bool refused;       /* the head is over a limit or against a rule */
    bool no_body;       /* client: the response to HEAD has none */
    bool upgrade;       /* extended CONNECT (RFC 8441), until the protocols are switched */
    bool ended_here;    /* END_STREAM was sent */
    bool quit_after;    /* RST_STREAM follows END_STREAM: the rest of the request is not wanted */
    uint32_t
        cut; /* the code of RST_STREAM, when what was given to us has gone out; 0: none is due */
    uint32_t head_bytes;
    uint32_t unconsumed;                /* of the body, while paused */
    uint32_t taken;                     /* of the body, until the window is wide */
    uint32_t out_start;                 /* of out: sent already */
    struct message *head;               /* that is coming; in the owner's arena */
    struct headers *trailers;           /* that came; in the owner's arena */
    const struct refusal *rule;         /* why it is refused */
    struct str now;                     /* borrowed until the end of the turn: not sent yet */
    struct buffer *out;                 /* owned: not sent yet, before `now`; or NULL */
    const struct headers *out_trailers; /* borrowed until the end of the turn, then kept_trailers */
    void *kept_trailers;                /* owned: the same, in one block */
    const struct message *asked; /* an upgrade that waits for the peer's SETTINGS; the owner's */
    struct str websocket_key;    /* in the arena: what an Accept is computed from */
};

/* The frames of a connection that cost the peer less than us. */
enum http2_abuse {
    ABUSE_RAPID_RESET,
    ABUSE_RESET, /* streams that we had to reset */
    ABUSE_CONTINUATION,
    ABUSE_SETTINGS,
    ABUSE_PING,
    ABUSE_EMPTY_FRAMES,
    ABUSE_HEADER_LIST,
    ABUSE_PRIORITY,
    ABUSE_WINDOW_UPDATE,
    ABUSE_STALL,
    ABUSE_COUNT,
};

/* http2_watch.c: the look at frame heads. */
struct http2_watch {
    unsigned char head[HTTP2_FRAME_HEAD + HTTP2_DEPENDENCY];
    uint8_t n_head;         /* of these are there */
    uint16_t continuations; /* of the block that is coming */
    bool block;             /* a block of fields is coming: */
    bool block_ends;        /* with this frame it is whole */
    bool in_parts;          /* this frame goes by http2_block.c */
    uint32_t skip;          /* bytes of the payload that are still to come */
    uint32_t highest;       /* stream of the client */
    int32_t credit;         /* what the peer may still spend on cheap frames */
    uint32_t moved;         /* and on WINDOW_UPDATEs, for the bytes that it was sent */
    nsec_t credited;        /* when that was last raised */
    /* Of streams that are gone: those the client ended, and those we reset, for which frames may
     * still be on their way. The oldest is forgotten first. */
    uint32_t ended[HTTP2_LATE_MAX], reset[HTTP2_LATE_MAX];
    uint8_t n_ended, n_reset;
    bool forgot; /* more were reset than are remembered */
};

struct http2 {
    nghttp2_session *session;
    struct conn *conn;
    struct loop *loop;          /* the conn's */
    struct http_shared *shared; /* borrowed */
    const struct http2_keeper *keeper;
    void *keeper_data;
    struct list link; /* the keeper's */
    struct list streams;
    struct list lent, waiting;
    struct turn_end turn_end;
    struct burial burial;
    struct timer timer;
    struct http2_stream *coming; /* whose fields are coming; NULL: nobody wants them */
    struct http2_block *block;   /* owned: a block in several frames is coming; NULL: none */
    unsigned n_streams;
    unsigned n_asked;      /* streams that wait so */
    unsigned peer_streams; /* client: that the peer takes at once */
    uint8_t ended_for;     /* enum span_error: why we end it; NONE: we do not, or all is well */
    uint8_t probes; /* client: PINGs for streams that got no answer, since it last gave one */
    bool doubted;   /* client: one is under way: no new stream until something comes */
    bool server;
    uint64_t messages;
    size_t pending; /* bytes of all streams that were not sent yet */
    size_t packed, pack_from;
    nsec_t quiet_since; /* nothing is under way since then; 0: something is */
    nsec_t block_since; /* a block of fields is coming since then; 0: none */
    nsec_t heard;       /* when bytes came last */
    nsec_t pinged;      /* and were not answered since; 0: not */
    nsec_t stalled;     /* nothing of what is pending was sent since then; 0: nothing is */
    nsec_t busy_until;  /* client: it has refused a stream a moment ago */
    nsec_t begun;       /* when the connection was ours */
    nsec_t first_word;  /* server: when the first GOAWAY goes at the latest; 0: it is not put off */
    nsec_t last_word;   /* server: when the final GOAWAY goes; 0: it went, or is not to */
    bool receiving;     /* nghttp2 is on the stack */
    bool settled;       /* client: SETTINGS came */
    bool stranger;      /* client: it speaks something else */
    bool falls_back;    /* and what was asked may be asked in HTTP/1.1 */
    bool going;         /* no new streams: we have said so, or the peer has */
    bool ending;        /* GOAWAY with an error is to go out, then it is closed */
    bool gone;
    struct http2_watch watch;
};

extern const struct codec_ops http2_ops;

/* http2_stream.c */
static inline struct http2_stream *http2_stream_of(struct stream *s)
{
    return container_of(s, struct http2_stream, stream);
}
struct http2_stream *http2_stream_new(struct http2 *h);
/* nghttp2 has forgotten it: the owner is told, where it has not finished. */
void http2_stream_closed(struct http2_stream *s, uint32_t code);
/* Nothing more of it is sent but RST_STREAM with that code. */
void http2_stream_reset(struct http2_stream *s, uint32_t code);
/* Tells its owner that it failed. */
void http2_stream_failed(struct http2_stream *s, uint32_t code);

/* http2.c */
/* What a peer may send on a stream before any of it is taken. */
size_t http2_first_window(const struct http2 *h);
/* Ends the connection, with GOAWAY and that code, when what it has been given is done with. What is
 * under way fails for the same reason; NONE: by the loss of its connection. */
void http2_terminate(struct http2 *h, uint32_t code, enum span_error why);

/* http2_time.c */
/* The earliest of what is waited for. */
void http2_rearm(struct http2 *h);
void http2_on_timer(struct timer *t);
/* Client: a stream is given up to which nothing was answered. Where nothing at all came since it
 * began, the peer is asked whether it is there. */
void http2_doubt(struct http2_stream *s);

/* http2_session.c: nghttp2's callbacks. NULL: no memory. */
struct http2_common *http2_common(struct http_shared *shared);

/* http2_head.c */
/* How large a head that comes may be, in bytes. */
size_t http2_head_limit(const struct http2 *h);
/* A field of a head or of trailers that comes. False: the connection is to end. */
bool http2_field(struct http2_stream *s, struct str name, struct str value);
/* The head is whole: what it says, checked. NULL: fine. */
const struct refusal *http2_request_complete(struct http2_stream *s, bool end);
const struct refusal *http2_response_complete(struct http2_stream *s, bool end);
/* The fields of m for nghttp2, in scratch; n is how many. NULL: no memory. */
nghttp2_nv *http2_fields(struct http2_stream *s, const struct message *m, size_t *n);
nghttp2_nv *http2_trailers(struct http2_stream *s, const struct headers *t, size_t *n);

/* http2_send.c */
/* Client: SETTINGS came, and say whether what waits for them may be sent. */
void http2_send_waiting_heads(struct http2 *h);
void http2_send_head(struct stream *s, const struct message *m, bool end);

/* http2_output.c */
void http2_send_chunk(struct stream *s, uint64_t size);
void http2_send_body(struct stream *s, struct str data);
void http2_send_end(struct stream *s, const struct headers *trailers);
void http2_settle(struct stream *s);
bool http2_blocked(struct stream *s);
/* It is reset with that code when what there is of its body has gone out. */
void http2_cut(struct http2_stream *s, uint32_t code);
/* The stream cannot go on, and it is not the peer's fault; on_close() tells its owner. */
void http2_give_up(struct http2_stream *s);
/* Nothing more of it is to be sent. */
void http2_drop_output(struct http2_stream *s);
/* The turn's end has something to do for it. */
void http2_touch(struct http2 *h);
/* The same, done. */
void http2_flush(struct turn_end *e);
ssize_t http2_on_send(nghttp2_session *session, const uint8_t *data, size_t n, int flags,
                      void *arg);
/* A stream's body, as nghttp2 asks for it. */
ssize_t http2_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                        uint32_t *flags, nghttp2_data_source *source, void *arg);
int http2_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                       size_t n, nghttp2_data_source *source, void *arg);
/* The socket takes bytes again. */
void http2_drained(struct http2 *h);
static inline size_t http2_unsent(const struct http2_stream *s)
{
    return s->now.n + (s->out ? s->out->n - s->out_start : 0);
}

/* Gives bytes to nghttp2. False: the connection is being ended, give no more. */
bool http2_give(struct http2 *h, const char *data, size_t n);

/* http2_block.c: a block of fields in several frames. False: the connection is being ended. */
bool http2_block_begin(struct http2 *h, uint32_t id, uint8_t flags, uint32_t length);
void http2_block_goes_on(struct http2 *h, uint32_t length);
/* The next bytes of a payload. */
bool http2_block_take(struct http2 *h, const char *data, size_t n);
bool http2_block_end(struct http2 *h);
/* The stream whose block is coming in several frames; 0: none is. */
uint32_t http2_block_id(const struct http2 *h);
/* In on_header(): the true value, where nghttp2 could not have it. False: the block is over the
 * limit. */
bool http2_block_value(const struct http2 *h, struct str *value);
void http2_block_free(struct http2 *h);

/* http2_watch.c */
void http2_watch_init(struct http2_watch *w, bool server, nsec_t now);
/* Looks at what came, and gives it to nghttp2, until the connection is being ended. */
void http2_look(struct http2 *h, const char *data, size_t n);
/* A stream is gone; by_peer: the peer had ended its side. */
void http2_watch_closed(struct http2 *h, uint32_t id, bool by_peer);
/* Something that costs; ends the connection when too much of it came. */
void http2_spend(struct http2 *h, enum http2_abuse kind, int cost);
/* A WINDOW_UPDATE came. */
void http2_spend_update(struct http2 *h);
/* n bytes of a body were sent; waiting: more would have been, if the window were larger. */
void http2_moved(struct http2 *h, size_t n, bool waiting);
/* Something useful was done. */
static inline void http2_earn(struct http2 *h, int n)
{
    if (h->watch.credit < HTTP2_CREDIT_MOST)
        h->watch.credit += n;
}
/* It is ended at once. */
void http2_abused(struct http2 *h, enum http2_abuse kind, uint32_t code);

/* http2_websocket.c (RFC 8441) */
/* A request that came as extended CONNECT becomes the one that asks for the upgrade. NULL: fine. */
const struct refusal *http2_from_connect(struct http2_stream *s, struct message *m);
/* A response 2xx to one that was sent becomes 101. False: no memory. */
bool http2_from_connected(struct http2_stream *s);
/* The 101 that is to go to the client proves that the key was read. */
bool http2_accepted(struct http2_stream *s, const struct message *m);

#endif
