/* Ground truth for the probes: a server that counts its own system calls, its client, and a provoker of resets.
 *
 *     ground serve PORT             count until SIGUSR1, then print the counts as JSON and end
 *     ground load PORT M N          M connections at once, N exchanges in all; every answer is checked
 *     ground get PORT M N           the same over HTTP, from somebody else's server
 *     ground provoke WAY K          K times; prints what the client saw and what grew in /proc/net, as JSON
 *
 * The server is in epoll_wait both when counting begins and when it ends: a call that has not returned is in neither count.
 */
#include "ground.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(atoi(argv[2]));
    if (argc == 5 && strcmp(argv[1], "load") == 0 && atoi(argv[3]) > 0)
        return load(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), 0);
    if (argc == 5 && strcmp(argv[1], "get") == 0 && atoi(argv[3]) > 0)
        return load(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), 1);
    if (argc == 4 && strcmp(argv[1], "provoke") == 0)
        return provoke(argv[2], atoi(argv[3]));
    fprintf(stderr, "ground: expected serve PORT | load PORT M N | get PORT M N | provoke WAY K\n");
    return 2;
}
