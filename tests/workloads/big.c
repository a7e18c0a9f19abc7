/* big: a binary of BIG_PAGES pages of constants; running it reads every one of them. */
#include "work.h"

static const volatile char pages[BIG_PAGES * PAGE] = {'m'};

int main(void)
{
	long at, sum = 0;

	for (at = 0; at < BIG_PAGES * PAGE; at += PAGE)
		sum += pages[at];
	return sum != 'm';
}
