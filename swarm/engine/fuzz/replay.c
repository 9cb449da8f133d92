/* Feeds answer_fuzz.c its corpus and mutations of it, without libFuzzer: any compiler's sanitizers will do.
 *
 *   replay MUTATIONS SEED FILE...    MUTATIONS of each file; the same seed gives the same ones
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 70 * 1024, GROWTH = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t dice;

static uint64_t roll(uint64_t below)
{
    dice ^= dice << 13; /* xorshift64, Marsaglia 2003 */
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

/* Changes, drops, doubles or inserts something; the new size, at most GROWTH larger. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const char *const words[] = {"\r\n", "\r\n\r\n", "\r",      "\n",    " ",       ",",  ";", ":", "0", "\"",
                                        "Content-Length: 2\r\n", "chunked", "close", "HTTP/1.1", "\t", "F"};
    size_t from = roll(size + 1), len = roll(size - from + 1 < 24 ? size - from + 1 : 24), added;
    switch (roll(4)) {
    case 0: /* a byte */
        if (from < size)
            data[from] = (uint8_t)roll(256);
        return size;
    case 1: /* drop some */
        memmove(data + from, data + from + len, size - from - len);
        return size - len;
    case 2: /* double some */
        memmove(data + from + len, data + from, size - from);
        return size + len;
    default:
        added = roll(sizeof words / sizeof *words);
        len = strlen(words[added]);
        memmove(data + from + len, data + from, size - from);
        memcpy(data + from, words[added], len);
        return size + len;
    }
}

int main(int argc, char **argv)
{
    static uint8_t original[MOST_BYTES], mutant[MOST_BYTES + 8 * GROWTH];
    if (argc < 4) {
        fprintf(stderr, "usage: replay MUTATIONS SEED FILE...\n");
        return 2;
    }
    unsigned long mutations = strtoul(argv[1], NULL, 10), runs = 0;
    dice = strtoull(argv[2], NULL, 10) | 1;
    for (int i = 3; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return 2;
        }
        size_t size = fread(original, 1, sizeof original, file), length;
        fclose(file);
        run(original, size);
        runs++;
        for (unsigned long n = 0; n < mutations; n++, runs++) {
            memcpy(mutant, original, size);
            length = size;
            for (uint64_t times = 1 + roll(6); times > 0; times--)
                length = mutate(mutant, length);
            run(mutant, length);
        }
    }
    printf("%lu runs\n", runs);
    return 0;
}
