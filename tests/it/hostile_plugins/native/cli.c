/* The same attacks as a program without an interpreter, and without libraries to load, would make them. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char CONTRACT[] =
    "{\"contract_version\": \"1.0\", \"plugin\": {\"name\": \"native\", \"version\": \"1.0.0\"}, \"commands\": ["
    "{\"name\": \"probe\", \"effect\": \"once\", \"parameters\": ["
    "{\"name\": \"secret\", \"type\": \"string\", \"required\": true}, "
    "{\"name\": \"port\", \"type\": \"integer\", \"required\": true}]}]}";

static void tell(const char *what, int result, const char *end)
{
    printf("\"%s\": \"%s\"%s", what, result < 0 ? strerror(errno) : "done", end);
}

static int reach(int port)
{
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return client < 0 ? client : connect(client, (struct sockaddr *)&address, sizeof address);
}

static int in_scratch(void)
{
    const char *home = getenv("HOME");
    return home == NULL || chdir(home) < 0 ? -1 : open("own", O_WRONLY | O_CREAT, 0600);
}

static int child(const char *path)
{
    int status = 0;
    pid_t reader = fork();
    if (reader == 0) {
        _exit(open(path, O_RDONLY) < 0);
    }
    waitpid(reader, &status, 0);
    errno = EACCES;
    return status == 0 ? 0 : -1;
}

int main(int count, char **arguments)
{
    const char *secret = "", *port = "0";
    if (count == 2 && strcmp(arguments[1], "--describe") == 0) {
        return puts(CONTRACT) < 0;
    }
    for (int at = 1; at + 1 < count; at++) {
        if (strcmp(arguments[at], "--secret") == 0) {
            secret = arguments[at + 1];
        } else if (strcmp(arguments[at], "--port") == 0) {
            port = arguments[at + 1];
        }
    }
    printf("{");
    tell("read", open(secret, O_RDONLY), ", ");
    tell("write", open(secret, O_WRONLY | O_APPEND), ", ");
    tell("child", child(secret), ", ");
    tell("connect", reach(atoi(port)), ", ");
    tell("trace", (int)ptrace(PTRACE_TRACEME, 0, 0, 0), ", ");
    tell("scratch", in_scratch(), "}\n");
    return 0;
}
