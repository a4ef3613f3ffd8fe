/* syslog(3) from several processes: native <processes> <records>. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

int main(int count, char **arguments) {
    int processes = atoi(arguments[1]), records = atoi(arguments[2]), failed = 0, status;
    char body[98];
    (void)count;
    for (int source = 0; source < processes; source++) {
        if (fork() == 0) {
            openlog("native", LOG_PID, LOG_DAEMON);
            for (int n = 0; n < records; n++) {
                memset(body, 'x', n % 97);
                body[n % 97] = 0;
                syslog(LOG_WARNING, "source=%d n=%d %s;", source, n, body);
            }
            _exit(0);
        }
    }
    while (wait(&status) > 0)
        failed |= status;
    return failed != 0;
}
