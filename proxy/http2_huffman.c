/*
 * The Huffman code of HPACK (RFC 7541 appendix B). It is canonical: codes of one
 * length follow each other in the order of their symbols, and the first of a
 * length follows the last of the one before. So the lengths say all.
 */
#include "proxy/http2_huffman.h"

enum { SYMBOLS = 257, END = 256, LONGEST = 30 };

/* clang-format off */
static const unsigned char lengths[SYMBOLS] = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5,
    7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22,
    22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22,
    21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26,
    26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
    24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27,
    27, 28, 27, 27, 27, 27, 27, 26, 30};
/* clang-format on */

/* By length: its first code, how many there are, and where their symbols stand in `symbols`. */
struct code {
    uint32_t first[LONGEST + 1];
    uint16_t n[LONGEST + 1], at[LONGEST + 1], symbols[SYMBOLS];
};

static void make(struct code *c)
{
    uint32_t next = 0;
    uint16_t at = 0;

    *c = (struct code){0};
    for (unsigned length = 1; length <= LONGEST; length++) {
        next <<= 1;
        c->first[length] = next;
        c->at[length] = at;
        for (uint16_t s = 0; s < SYMBOLS; s++)
            if (lengths[s] == length)
                c->symbols[at++] = s;
        c->n[length] = (uint16_t)(at - c->at[length]);
        next += c->n[length];
    }
}

bool http2_huffman_decode(struct str from, char *to, size_t *n)
{
    struct code c; /* made for each: a text that is decoded here is long, and rare */
    uint32_t code = 0;
    unsigned length = 0;

    make(&c);
    *n = 0;
    for (size_t i = 0; i < from.n * 8; i++) {
        code = code << 1 | ((unsigned char)from.p[i / 8] >> (7 - i % 8) & 1);
        if (++length > LONGEST)
            return false;
        if (code - c.first[length] < c.n[length]) {
            uint16_t symbol = c.symbols[c.at[length] + code - c.first[length]];

            if (symbol == END)
                return false;
            to[(*n)++] = (char)symbol;
            code = 0;
            length = 0;
        }
    }
    /* What fills the last octet are the first bits of the end: ones, fewer than eight. */
    return length < 8 && code == (1u << length) - 1;
}
