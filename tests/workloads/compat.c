/*
 * compat PATH PAGES: write PATH with the 32-bit system call table (int 0x80), where
 * write is number 4: on the 64-bit table that is stat. Exit 77 where the kernel has none.
 */
#include <signal.h>

#include "work.h"

static void unsupported(int signal)
{
	(void)signal;
	_exit(77);
}

static long write32(int fd, void *from, long bytes)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(4), "b"((long)fd), "c"(from), "d"(bytes)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

int main(int argc, char **argv)
{
	int fd = open_file(argv[1], O_WRONLY | O_CREAT);
	char *low = map_file(-1, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT);
	long page;

	(void)argc;
	signal(SIGSEGV, unsupported);
	memset(low, 'm', PAGE);
	for (page = 0; page < atol(argv[2]); page++)
		if (write32(fd, low, PAGE) != PAGE)
			die("32-bit write");
	return 0;
}
