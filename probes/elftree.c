/* What Debian's libelf.a lacks: elfutils 0.192 keeps its trees in a library of its own (libeu.a), which is built and not
 * installed, so that nothing can be linked statically with libelf alone (sourceware.org bug 32293, mended in 0.193).
 *
 * The same as its lib/eu-search.c does, over tsearch(3), without the locks: this program has one thread. Weak, so that a
 * libelf.a that brings its own has its way. The struct begins with the root; what follows there is the lock.
 */
#define _GNU_SOURCE
#include <search.h>
#include <stddef.h>

typedef struct {
    void *root;
} search_tree;
typedef int (*compare)(const void *, const void *);

void eu_search_tree_init(search_tree *tree);
void eu_search_tree_fini(search_tree *tree, void (*free_node)(void *));
void *eu_tsearch(const void *key, search_tree *tree, compare compare);
void *eu_tdelete(const void *key, search_tree *tree, compare compare);

__attribute__((weak)) void eu_search_tree_init(search_tree *tree)
{
    tree->root = NULL;
}

__attribute__((weak)) void eu_search_tree_fini(search_tree *tree, void (*free_node)(void *))
{
    tdestroy(tree->root, free_node);
}

__attribute__((weak)) void *eu_tsearch(const void *key, search_tree *tree, compare compare)
{
    return tsearch(key, &tree->root, compare);
}

__attribute__((weak)) void *eu_tdelete(const void *key, search_tree *tree, compare compare)
{
    return tdelete(key, &tree->root, compare);
}
