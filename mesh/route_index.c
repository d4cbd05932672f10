/*
 * A tree of path segments. A node stands for the segments that lead to it and
 * lists the routes whose pattern ends there. All nodes that fit a path are
 * visited, and of what they list the earliest route that holds is the answer:
 * the order of the file is kept without merging lists, as a node is left as
 * soon as its next route stands behind the best one found.
 */
#include <stdlib.h>

#include "mesh/route.h"

/* One route in a list: its place in the file decides. */
struct entry {
    const struct route *route;
    const struct pattern *pattern; /* of route; here to save a step in memory */
    size_t order;
    struct entry *next;
};

struct entry_list {
    struct entry *first, **end; /* in file order */
};

struct node {
    struct str segment;       /* that leads here; unused for `any` */
    size_t first_order;       /* the smallest of all routes here and below */
    struct entry_list open;   /* take this path and all below it */
    struct entry_list closed; /* take this path alone */
    struct node *any;         /* the child for {name}; NULL: none */
    struct node **children;   /* by segment: shorter ones first, then by bytes */
    size_t n_children;
    struct node *building; /* the children as a list, newest first, until they are sorted */
    struct node *next;     /* in the parent's list */
};

/* So few are tried in turn, which is quicker than walking a tree. */
enum { FEW_ROUTES = 4 };

struct route_index {
    struct route *const *routes; /* borrowed */
    size_t n;
    struct node root; /* where there are more than a few */
};

/* ---- building ---- */

static void list_append(struct entry_list *list, struct entry *entry)
{
    if (!list->first)
        list->end = &list->first;
    *list->end = entry;
    list->end = &entry->next;
}

static struct node *node_new(struct arena *arena, struct str segment)
{
    struct node *node = arena_zalloc(arena, sizeof(*node));

    if (node) {
        node->segment = segment;
        node->first_order = SIZE_MAX;
    }
    return node;
}

static struct node *literal_child(struct arena *arena, struct node *parent, struct str segment)
{
    for (struct node *child = parent->building; child; child = child->next)
        if (str_eq(child->segment, segment))
            return child;
    struct node *child = node_new(arena, segment);
    if (child) {
        child->next = parent->building;
        parent->building = child;
        parent->n_children++;
    }
    return child;
}

static struct node *any_child(struct arena *arena, struct node *parent)
{
    if (!parent->any)
        parent->any = node_new(arena, str_of(NULL, 0));
    return parent->any;
}

/* False: no memory. Called in file order. */
static bool add_route(struct arena *arena, struct node *node, const struct route *route,
                      size_t order)
{
    struct entry *entry = arena_zalloc(arena, sizeof(*entry));

    if (!entry)
        return false;
    *entry = (struct entry){.route = route, .pattern = route->pattern, .order = order};
    for (size_t i = 0; node; i++) {
        struct str literal = {NULL, 0};
        enum pattern_part part = pattern_part_at(route->pattern, i, &literal);
        if (node->first_order > order)
            node->first_order = order;
        if (part == PATTERN_OPEN || part == PATTERN_CLOSED) {
            list_append(part == PATTERN_OPEN ? &node->open : &node->closed, entry);
            return true;
        }
        node = part == PATTERN_ANY ? any_child(arena, node) : literal_child(arena, node, literal);
    }
    return false;
}

static int compare_segments(struct str a, struct str b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

static int compare_nodes(const void *a, const void *b)
{
    const struct node *const *x = a, *const *y = b;

    return compare_segments((*x)->segment, (*y)->segment);
}

static bool sort_children(struct arena *arena, struct node *node)
{
    size_t n = 0;

    node->children = arena_array(arena, node->n_children, sizeof(struct node *));
    if (!node->children)
        return false;
    for (struct node *child = node->building; child; child = child->next) {
        if (!sort_children(arena, child))
            return false;
        node->children[n++] = child;
    }
    qsort(node->children, n, sizeof(struct node *), compare_nodes);
    return !node->any || sort_children(arena, node->any);
}

struct route_index *route_index_new(struct arena *arena, struct route *const *routes, size_t n)
{
    struct route_index *index = arena_zalloc(arena, sizeof(*index));

    if (!index)
        return NULL;
    *index = (struct route_index){.routes = routes, .n = n, .root.first_order = SIZE_MAX};
    if (n <= FEW_ROUTES)
        return index;
    for (size_t i = 0; i < n; i++)
        if (!add_route(arena, &index->root, routes[i], i))
            return NULL;
    return sort_children(arena, &index->root) ? index : NULL;
}

/* ---- finding ---- */

const struct route *route_find_in_turn(struct route *const *routes, size_t n,
                                       const struct request *r, enum verdict *verdict)
{
    for (size_t i = 0; i < n; i++)
        if ((*verdict = route_holds(routes[i], routes[i]->pattern, r)) != VERDICT_NO)
            return routes[i];
    return NULL;
}

struct search {
    const struct request *request;
    const struct route *best;
    size_t best_order;
    enum verdict verdict; /* of best */
};

static void try_list(struct search *s, const struct entry_list *list)
{
    for (const struct entry *e = list->first; e && e->order < s->best_order; e = e->next) {
        enum verdict verdict = route_holds(e->route, e->pattern, s->request);
        if (verdict != VERDICT_NO) {
            s->best = e->route;
            s->best_order = e->order;
            s->verdict = verdict;
            return;
        }
    }
}

static const struct node *find_child(const struct node *node, struct str segment)
{
    size_t low = 0, high = node->n_children;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_segments(segment, node->children[middle]->segment);
        if (order == 0)
            return node->children[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* at is on the slash behind the node's segment, or at the end of the path. The depth of the calls
 * is that of the tree, which patterns bound. */
static void visit(struct search *s, const struct node *node, size_t at)
{
    struct str path = s->request->path;

    if (node->first_order >= s->best_order)
        return;
    try_list(s, &node->open);
    if (at == path.n) {
        try_list(s, &node->closed);
        return;
    }
    if (node->n_children == 0 && !node->any)
        return;
    size_t end = str_index(path, '/', at + 1);
    struct str segment = str_slice(path, at + 1, end);
    const struct node *child = find_child(node, segment);
    if (child)
        visit(s, child, end);
    if (node->any && segment.n)
        visit(s, node->any, end);
}

const struct route *route_index_find(const struct route_index *index, const struct request *r,
                                     enum verdict *verdict)
{
    struct search s = {.request = r, .best_order = SIZE_MAX};

    if (index->n <= FEW_ROUTES)
        return route_find_in_turn(index->routes, index->n, r, verdict);
    if (r->path.n && r->path.p[0] == '/')
        visit(&s, &index->root, 0);
    else
        try_list(&s, &index->root.open);
    *verdict = s.verdict;
    return s.best;
}
