/* write PATH PAGES BLOCK: append PAGES pages to PATH with write(2) calls of BLOCK bytes. */
#include "work.h"

int main(int argc, char **argv)
{
	long left = atol(argv[2]) * PAGE, block = atol(argv[3]);
	int fd = open_file(argv[1], O_WRONLY | O_CREAT | O_APPEND);
	char *from = buffer(block);

	(void)argc;
	while (left > 0)
		left -= need(write(fd, from, left < block ? left : block), "write");
	return 0;
}
