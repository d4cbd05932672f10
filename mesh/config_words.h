/*
 * The words of the language for the values of enums: the readers choose by them
 * and the writers write them. Each list is indexed by its enum and ends with NULL.
 */
#ifndef SIDESPAN_MESH_CONFIG_WORDS_H
#define SIDESPAN_MESH_CONFIG_WORDS_H

extern const char *const unmatched_words[];     /* enum unmatched */
extern const char *const split_words[];         /* enum split_key */
extern const char *const header_action_words[]; /* enum header_action_kind */
extern const char *const message_words[];       /* request, response */
extern const char *const protocol_words[];      /* enum cluster_protocol */
extern const char *const balance_words[];       /* enum balance_kind */
extern const char *const sample_words[];        /* enum sample_kind */
extern const char *const compression_words[];   /* none, gzip */
extern const char *const log_level_words[];     /* enum log_level */
extern const char *const log_format_words[];    /* text, json */

#endif
