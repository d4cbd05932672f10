/*
 * What a codec promises an exchange: messages instead of bytes, the same for
 * every version of HTTP. A stream is one side of one exchange: with HTTP/1 the
 * connection's current message, with HTTP/2 one of many.
 */
#ifndef SIDESPAN_PROXY_CODEC_H
#define SIDESPAN_PROXY_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/headers.h"
#include "otlp/span.h"

/* How the end of a body is known (RFC 9112 section 6). */
enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };

/* A head, of either kind. Slices live in the stream's arena. */
struct message {
    struct str method; /* request */
    struct str target; /* as received: origin, absolute, authority or asterisk form */
    struct str scheme, authority, path,
        query;       /* taken from target and Host; query p NULL: no '?' */
    uint16_t status; /* response */
    struct str reason;
    uint8_t version; /* 10, 11, 20: received; what is sent is the codec's choice */
    uint8_t body;    /* enum body_kind */
    bool close;      /* the connection is not to be used again; when sent, the peer is told */
    bool upgrade;    /* asks to switch protocols, or (101) does */
    uint64_t length; /* BODY_LENGTH */
    struct headers fields;
};

/* A message that may not be passed on, because two parsers could read it differently, or it is over
 * a limit. */
struct refusal {
    const char *rule; /* a literal: "content-length-repeated" */
    unsigned status;  /* what a request is answered with: 400, 408, 414, 431, 501, 505 */
    const char *cure; /* a sentence for the log and the answer */
};

/* Why a stream ends before its messages are over: the error codes of RFC 9113 section 7, the others
 * too. HTTP/1 knows no codes: a server resets where there is an error, else it closes. */
enum stream_code {
    STREAM_NO_ERROR = 0,
    STREAM_PROTOCOL_ERROR = 1,
    STREAM_INTERNAL_ERROR = 2,
    STREAM_REFUSED = 7,
    STREAM_CANCEL = 8,
    STREAM_ENHANCE_YOUR_CALM = 11,
};

/* Whether a request that failed may be sent once more. */
enum replay {
    REPLAY_NEVER,
    REPLAY_IF_IDEMPOTENT, /* somebody may have read it */
    REPLAY_SAFE,          /* nobody has */
};

struct stream;
struct conn;
struct logins;

/* What the owner of a stream is told. After any of them it may have finished or aborted the stream.
 */
struct stream_events {
    /* A whole head. Responses: also each interim one (1xx). m lives in the stream's arena. */
    void (*on_head)(void *owner, struct message *m);
    /* The next `size` bytes of the body are one chunk (HTTP/1 chunked only). */
    void (*on_chunk)(void *owner, uint64_t size);
    /* Borrowed until the end of the turn. */
    void (*on_body)(void *owner, struct str data);
    /* The message is whole. trailers NULL: none. */
    void (*on_end)(void *owner, const struct headers *trailers);
    /* A request that is refused; partial has what was understood of it. */
    void (*on_refused)(void *owner, const struct refusal *why, struct message *partial);
    /* The message will never be whole, or what is sent cannot arrive. After SPAN_ERROR_HALF_CLOSED
     * alone it may: the response, or the rest of it, may still be sent. */
    void (*on_failed)(void *owner, enum span_error why);
    /* The peer takes bytes again. */
    void (*on_drained)(void *owner);
};

/* What a codec does for the owner. What is sent goes out when the turn ends. */
struct codec_ops {
    uint8_t version;          /* that is spoken: 11, 20 */
    uint16_t switched_status; /* that says yes to a change of protocols: 101, 200 (RFC 8441) */
    /* end: no body follows. Interim responses (status < 200 but 101) may come before the final one.
     */
    void (*send_head)(struct stream *s, const struct message *m, bool end);
    /* What follows up to size bytes is to be one chunk; a codec without chunks ignores it. */
    void (*send_chunk)(struct stream *s, uint64_t size);
    void (*send_body)(struct stream *s, struct str data);
    /* trailers NULL: none. */
    void (*send_end)(struct stream *s, const struct headers *trailers);
    /* True: send no more until on_drained(). */
    bool (*blocked)(struct stream *s);
    /* Whether on_body() and so on are wanted; a little may still come after pausing. */
    void (*pause)(struct stream *s, bool paused);
    /* The owner is done with it, both messages are over: the connection is kept or closed. */
    void (*finish)(struct stream *s);
    /* The owner is done with it, though a message was not over. An error: so that the peer cannot
     * take what it has for the whole. */
    void (*abort)(struct stream *s, enum stream_code code);
    /* Hands over the connection after an upgrade or CONNECT, with what came after the message in
     * *leftover (good until the end of the turn). The stream is gone. NULL: the connection is not
     * the stream's alone. */
    struct conn *(*detach)(struct stream *s, struct str *leftover);
    /* The same where one side cannot be detached: from here on both bodies are plain bytes, until
     * an end. What came already follows as on_body(). */
    void (*switch_protocols)(struct stream *s);
    /* What was lent to send_body() in this turn need not live any longer. */
    void (*settle)(struct stream *s);
    /* What it has put into the arena is needed still: a head, or trailers, that are not whole.
     * NULL: it never is, between turns, once the head came. */
    bool (*holds)(struct stream *s);
    /* Client: the server takes the connection for a login of the client whose logins these are, so
     * nobody else may be given it: upstream_login.h. l NULL: nobody at all, it ends with this
     * exchange. NULL: the streams of a connection are shared by their nature, and no such login
     * exists. */
    void (*set_login)(struct stream *s, struct logins *l);
    /* Client: the connection is known to be dead, at the price of a look. */
    bool (*stale)(struct stream *s);
    /* Client, in on_failed(): whether the request may be sent again elsewhere. */
    enum replay (*replay)(struct stream *s, enum span_error why);
    /* Client: nothing has shown yet that the peer speaks this protocol, or that it takes this
     * request, so that it may have to be sent whole to another. Little of a body is taken before
     * that: the first window, or in HTTP/1.1 as much. NULL: never. */
    bool (*unproven)(struct stream *s);
};

struct stream {
    const struct codec_ops *codec;
    const struct stream_events *events; /* NULL: it has no owner */
    void *owner;
    struct arena *arena; /* the owner's: heads of received messages are put there */
    nsec_t began;        /* when the first byte of the message came */
    uint32_t code;       /* in on_failed(): the peer's code; 0: none */
    /* Client, in on_failed(): by which rule of ours what came is not taken; NULL: by none. */
    const struct refusal *rule;
    bool replayable; /* client: it may be worth keeping what is sent, see replay() */
};

#endif
