/*
 * What the files of the HTTP/1 codec share.
 */
#ifndef SIDESPAN_PROXY_HTTP1_PRIVATE_H
#define SIDESPAN_PROXY_HTTP1_PRIVATE_H

#include <llhttp.h>

#include "base/buffer.h"
#include "mesh/config.h"
#include "proxy/http1.h"
#include "proxy/http_rules.h"
#include "proxy/loop.h"
#include "proxy/metrics.h"
#include "proxy/timer.h"

enum http1_input {
    INPUT_IDLE,    /* the first byte of a message */
    INPUT_HEAD,    /* the rest of the head */
    INPUT_BODY,    /* body and trailers */
    INPUT_OVER,    /* nothing: the message was whole; what comes is kept for the next */
    INPUT_REFUSED, /* nothing: what comes is thrown away */
    INPUT_BYTES,   /* another protocol's, until the end */
};

enum http1_output {
    OUTPUT_HEAD, /* a (final) head is to be sent */
    OUTPUT_BODY,
    OUTPUT_OVER,
    OUTPUT_BYTES, /* another protocol's */
};

/* Where the fields of a head are, as offsets from its first byte: the bytes may move. */
struct http1_field {
    uint32_t name, name_end, value, value_end;
};

/* What is known of a head while it comes. Taken from the loop's scratch where the head comes in
 * one piece, so an idle connection has none. */
struct http1_head {
    uint32_t method_end, url, url_end, reason, reason_end;
    unsigned n, cap;
    uint32_t bytes;      /* up to the end of the last field */
    uint8_t line;        /* of a request's first line: what comes next, http1_line.c */
    uint8_t version;     /* 10, 11, or what else it says */
    uint8_t version_at;  /* how much of it came */
    uint8_t respaced;    /* how often it was read anew, http1_space.c */
    bool whole_respaced; /* and once when it was whole */
    const char *origin;  /* what the offsets count from, now */
    struct http1_field v[];
};

struct http1 {
    struct stream stream;
    struct conn *conn;
    struct loop *loop;          /* the conn's */
    struct http_shared *shared; /* borrowed */
    const struct http1_keeper *keeper;
    void *keeper_data;
    llhttp_t parser;
    struct http1_head *head; /* owned; NULL unless a head is coming */
    struct held *held; /* owned: bytes of an incomplete head, or of the next message; or NULL */
    struct buffer *trailers; /* owned; NULL: none so far */
    struct message
        *last_head;     /* of a message that may end HTTP here: told when the parser is done */
    struct str rest;    /* while the end of a message is told: the bytes behind it */
    struct timer timer; /* server: head and idle; client: idle in the pool, doubted */
    struct list link;   /* in the keeper's list of idle ones */
    struct burial burial;
    uint64_t messages;
    uint64_t left;      /* output: of the body, or of the chunk */
    uint64_t moved;     /* server: bytes of the conn, both ways, when a client that has sent FIN was
                           looked for */
    nsec_t still_since; /* server: and since when that many; 0: it was not looked for so far */
    uint64_t sent_before, received_before; /* client: bytes of the conn before this request */
    struct logins
        *logins; /* client: a reference: whose login it is; NULL: nobody's, or it is none */
    nsec_t idle_limit;
    nsec_t idle_since, idled; /* client: in the pool, now, and before this request */
    uint8_t input, output;
    uint8_t out_body; /* enum body_kind */
    bool server;
    bool close;               /* after this exchange */
    bool parsing;             /* http1_feed() is on the stack */
    bool gone;                /* the conn is closed or given away */
    bool no_body;             /* client: the response to HEAD has none */
    bool client_closes;       /* server: the client has said that this request is its last */
    bool client_asks_to_keep; /* server: of HTTP/1.0, so it is to be told that it is kept */
    bool is_login;            /* client: nobody but the owner of logins may have it */
    bool spoke_http2;         /* client: the first that came were SETTINGS */
    bool doubted;             /* client: see http1_doubt() */
    bool acknowledged;        /* the first piece of the message that is coming */
    bool paused;
    bool in_pool;         /* when it went: it was in the keeper's list */
    uint32_t held_parsed; /* of an incomplete head: how many the parser has seen */
    uint16_t extension_bytes;
    uint16_t trailer_pieces;       /* names and values */
    const struct refusal *refusal; /* why parsing stopped; NULL: llhttp says */
};

extern const struct codec_ops http1_ops;
/* What llhttp calls while it reads a head; and behind one. */
const llhttp_settings_t *http1_settings(void);
const llhttp_settings_t *http1_settings_behind_head(void);

/* http1_line.c: a request's first line */
void http1_line_start(struct http1_head *head);
bool http1_line_whole(const struct http1_head *head);
/* Returns how many of the n bytes were taken: all of them unless the line is whole or h->refusal
 * says why it never will be. */
size_t http1_line_read(struct http1 *h, const char *p, size_t n);
/* The line is whole: the parser goes on as if it had read one that means the same. */
void http1_line_tell(struct http1 *h);

/* http1_space.c: what llhttp made of a head whose bytes end there; where it failed for white space
 * that it does not take, it reads it again. */
llhttp_errno_t http1_read_again(struct http1 *h, llhttp_errno_t e, const char *end);

/* http1_parse.c */
bool http1_head_take(struct http1 *h);
void http1_head_drop(struct http1 *h);
/* The message is over: its trailers, in the stream's arena; NULL: none. */
const struct headers *http1_take_trailers(struct http1 *h);
/* The rule that a head of this side breaks by its size. */
const struct refusal *http1_too_large(const struct http1 *h);
size_t http1_head_bytes_max(const struct http1 *h);
/* What is known of a head that is not whole; in the stream's arena. NULL: no memory. */
struct message *http1_partial(struct http1 *h);
/* The parser stopped with an error: refuses the request, or fails the response. */
void http1_parse_failed(struct http1 *h, llhttp_errno_t e);

/* http1_rules.c: what llhttp does not check. NULL: the head is fine. Sets what is derived in m. */
const struct refusal *http1_check_request(struct message *m, const struct limits *limits);
const struct refusal *http1_check_response(struct message *m);
/* What an error of llhttp is called. */
const struct refusal *http1_refusal_of(llhttp_errno_t e, const char *reason);
extern const struct refusal refusal_extension, refusal_trailer, refusal_request_line,
    refusal_target_character, refusal_line_end, refusal_bare_cr, refusal_version;

/* http1_input.c */
/* How many bytes are held, and which. */
size_t http1_held(const struct http1 *h);
struct str http1_held_bytes(const struct http1 *h);
void http1_free_held(struct http1 *h);
/* The message is whole; rest is what came behind it. */
void http1_tell_over(struct http1 *h, struct str rest);
/* Server: turns reading on or off, as the state asks. */
void http1_want(struct http1 *h);
/* The next message may be there already, and so may the end. */
void http1_go_on(struct http1 *h);

/* Both sides speak another protocol from here on. */
void http1_switch_protocols(struct stream *s);

/* http1_hangup.c */
/* Server: the client has sent FIN. */
void http1_server_eof(struct http1 *h);
/* Server: from now on it is looked at from time to time whether the client is there still. */
void http1_watch_client(struct http1 *h);
/* Server: the time for that has come. */
void http1_look_for_client(struct http1 *h);
/* What comes is not wanted for now; the end of a client is seen all the same. */
void http1_stop_reading(struct http1 *h);

/* http1.c */
/* Server: closes the conn, so that the client can read what it was sent. */
void http1_server_close(struct http1 *h);
void http1_gone(struct http1 *h);
/* Server: the response under way is the last on this connection, by a limit or a drain. */
bool http1_is_last(const struct http1 *h);
/* Refuses what is coming; partial has what is known. */
void http1_refuse(struct http1 *h, const struct refusal *why, struct message *partial);

/* http1_again.c: of codec_ops */
bool http1_stale(struct stream *s);
enum replay http1_replay(struct stream *s, enum span_error why);
bool http1_unproven(struct stream *s);
/* Client: enough was sent to a peer that is doubted. */
bool http1_must_wait(const struct http1 *h);
/* Client: the peer is not doubted any more: its owner, if it had to wait, may go on. */
void http1_trust(struct http1 *h);
/* Client, before bytes are parsed: true where they are the first and begin SETTINGS. The peer
 * speaks HTTP/2 alone then, so it has read no request of ours and never will: the stream's owner
 * was told, and the connection may be gone. */
bool http1_met_http2(struct http1 *h, const char *data, size_t n);

/* http1_write.c */
void http1_send_head(struct stream *s, const struct message *m, bool end);
void http1_send_chunk(struct stream *s, uint64_t size);
void http1_send_body(struct stream *s, struct str data);
void http1_send_end(struct stream *s, const struct headers *trailers);

#endif
