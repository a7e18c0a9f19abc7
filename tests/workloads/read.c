/* read PATH CALL [OFFSET_PAGES PAGES]: read PATH in 64 KiB blocks with CALL: read, pread or preadv. */
#include <sys/uio.h>

#include "work.h"

#define BLOCK 65536

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_RDONLY);
	long at = argc > 3 ? atol(argv[3]) * PAGE : 0;
	long end = argc > 4 ? at + atol(argv[4]) * PAGE : file_bytes(fd);
	char *to = buffer(BLOCK);

	if (argc > 3)
		need(-posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), "fadvise");
	need(lseek(fd, at, SEEK_SET), "lseek");
	while (at < end) {
		struct iovec vector = {to, end - at < BLOCK ? end - at : BLOCK};

		if (!strcmp(argv[2], "read"))
			at += need(read(fd, to, vector.iov_len), "read");
		else if (!strcmp(argv[2], "pread"))
			at += need(pread(fd, to, vector.iov_len, at), "pread");
		else
			at += need(preadv(fd, &vector, 1, at), "preadv");
	}
	return 0;
}
