/* copy_range FROM TO: copy FROM to the new file TO with copy_file_range(2). */
#include "work.h"

int main(int argc, char **argv)
{
	int from = open_file(argv[1], O_RDONLY);
	int to = open_file(argv[2], O_WRONLY | O_CREAT);
	long left = file_bytes(from);

	(void)argc;
	while (left > 0)
		left -= need(copy_file_range(from, NULL, to, NULL, left, 0), "copy_file_range");
	return 0;
}
