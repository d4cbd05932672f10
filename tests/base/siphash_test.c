#include "base/siphash.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Key 00 01 … 0f, message 00 01 02 … of the row's length. The 16th row is the worked example of
 * the paper's appendix A; the rows are the authors' published vectors. */
static const uint64_t expected[] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
};

static const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

START_TEST(gives_the_published_vectors)
{
    unsigned char message[64];

    for (unsigned i = 0; i < sizeof(message); i++)
        message[i] = (unsigned char)i;
    ck_assert_uint_eq(siphash(&key, message, (size_t)_i), expected[_i]);
}
END_TEST

START_TEST(hashes_text_that_is_not_aligned)
{
    char memory[40];
    const char *text = "the quick brown fox jumps";

    uint64_t hash = siphash(&key, text, strlen(text));
    for (size_t i = 0; i < 8; i++) {
        memcpy(memory + i, text, strlen(text));
        ck_assert_uint_eq(siphash(&key, memory + i, strlen(text)), hash);
    }
}
END_TEST

START_TEST(every_bit_of_key_and_text_matters)
{
    unsigned char text[20] = {0};
    uint64_t hash = siphash(&key, text, sizeof(text));

    for (unsigned bit = 0; bit < 8 * sizeof(text); bit++) {
        text[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_uint_ne(siphash(&key, text, sizeof(text)), hash);
        text[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        struct siphash_key k0 = {key.k0 ^ UINT64_C(1) << bit, key.k1};
        struct siphash_key k1 = {key.k0, key.k1 ^ UINT64_C(1) << bit};
        ck_assert_uint_ne(siphash(&k0, text, sizeof(text)), hash);
        ck_assert_uint_ne(siphash(&k1, text, sizeof(text)), hash);
    }
    ck_assert_uint_ne(siphash(&key, text, sizeof(text) - 1), hash);
    ck_assert_uint_eq(siphash(&key, NULL, 0), expected[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("siphash");
    TCase *tc = tcase_create("siphash");
    tcase_add_loop_test(tc, gives_the_published_vectors, 0,
                        (int)(sizeof(expected) / sizeof(expected[0])));
    tcase_add_test(tc, hashes_text_that_is_not_aligned);
    tcase_add_test(tc, every_bit_of_key_and_text_matters);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
