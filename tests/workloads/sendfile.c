/* sendfile FROM TO: copy FROM to the new file TO with sendfile(2). */
#include <sys/sendfile.h>

#include "work.h"

int main(int argc, char **argv)
{
	int from = open_file(argv[1], O_RDONLY);
	int to = open_file(argv[2], O_WRONLY | O_CREAT);
	long left = file_bytes(from);

	(void)argc;
	while (left > 0)
		left -= need(sendfile(to, from, NULL, left), "sendfile");
	return 0;
}
